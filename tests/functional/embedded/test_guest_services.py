"""What an embedded cloud's guests are told, and how users get at their consoles: at the URLs that the cloud prints."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from nova_lite.embedded import guest_services
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.configuration import METADATA_SECRET
from nova_lite.embedded.settings import CloudSettings
from nova_lite.metadata.askers import signature
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import DEADLINE_S, ComputeUser


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("cloud")
    (directory / "pages").mkdir()
    (directory / "pages" / "vnc_lite.html").write_text("noVNC")
    options = {"DEFAULT": {"web": str(directory / "pages")}, "console": {"check_interval": "0.2"}}
    with clouds.running(directory / "state", cells=1, hosts=1, options=options) as running:
        yield running


def test_a_guest_asks_who_it_is(cloud: Cloud, user: ComputeUser, image: str) -> None:
    server_id = user.boot("asker", image, user_data=base64.b64encode(b"#!/bin/sh").decode())
    project = user.wait(server_id, "ACTIVE")["tenant_id"]
    headers = {
        "X-Instance-ID": server_id,
        "X-Instance-ID-Signature": signature(METADATA_SECRET, server_id),
        "X-Tenant-ID": project,
    }
    url = f"{cloud.metadata_url}/openstack/latest"
    told = requests.get(f"{url}/meta_data.json", headers=headers, timeout=DEADLINE_S)
    assert (told.status_code, told.json()["name"]) == (200, "asker")
    assert requests.get(f"{url}/user_data", headers=headers, timeout=DEADLINE_S).text == "#!/bin/sh"
    headers["X-Instance-ID-Signature"] = signature("another secret", server_id)
    assert requests.get(f"{url}/user_data", headers=headers, timeout=DEADLINE_S).status_code == 403


@pytest.mark.parametrize(
    ("protocol", "kind", "greeting"),
    [("vnc", "novnc", b"RFB 003.008\n"), ("serial", "serial", b"\r\nlogin: ")],
    ids=["screen", "serial port"],
)
def test_a_user_at_a_console(
    cloud: Cloud, user: ComputeUser, image: str, protocol: str, kind: str, greeting: bytes
) -> None:
    server_id = user.boot(f"shown by {protocol}", image)
    user.wait(server_id, "ACTIVE")
    wanted = {"remote_console": {"protocol": protocol, "type": kind}}
    found = user.ask("POST", f"/servers/{server_id}/remote-consoles", wanted).json["remote_console"]["url"]
    parts = urlsplit(found)
    assert f"http://{parts.netloc}" == cloud.console_url
    if protocol == "vnc":
        assert requests.get(found, timeout=DEADLINE_S).text == "noVNC"
        (query,) = parse_qs(parts.query)["path"]
    else:
        query = f"?{parts.query}"
    with connect(f"ws://{parts.netloc}/{query}", proxy=None, open_timeout=DEADLINE_S) as browser:
        assert browser.recv(DEADLINE_S) == greeting
        assert user.act(server_id, "os-stop").status == 202
        with pytest.raises(ConnectionClosed):
            browser.recv(DEADLINE_S)


def test_hosts_give_no_port_twice(tmp_path: Path) -> None:
    settings = CloudSettings(state_dir=tmp_path, cells=2, hosts=2)
    hosts = [host for cell in settings.cell_names for host in settings.host_names(cell)]
    told = [guest_services.consoles_of(settings, host, "http://127.0.0.1:6080") for host in hosts]
    ranges = [each["serial_console"]["port_range"] for each in told]
    assert ranges == ["10000:14999", "15000:19999", "20000:24999", "25000:29999"]
    assert told[0]["serial_console"]["base_url"] == "ws://127.0.0.1:6080/"
    assert guest_services.consoles_of(settings, hosts[0], None) == {}


def test_a_cloud_without_screens_has_no_proxy(tmp_path: Path) -> None:
    with clouds.running(tmp_path, cells=1, hosts=1, options={"vnc": {"enabled": "false"}}) as running:
        assert running.console_url is None
