"""The road of an end user to a guest: what it is told, its password, its screen and its serial port."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from nova_lite.metadata.askers import signature
from tests.devstack.cloud import FLAVORS, IMAGES, Cloud
from tests.devstack.command import Command
from tests.integration.stack.services import CONSOLES, METADATA, METADATA_SECRET

pytestmark = pytest.mark.timeout(600)
_TIMEOUT_S = 60.0
_USER_DATA = "#!/bin/sh\necho hello\n"


@pytest.fixture(scope="module")
def server(demo_cli: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with a config drive, user data and a password, as the command makes it."""
    file: Path = tmp_path_factory.mktemp("guest") / "user_data"
    file.write_text(_USER_DATA)
    wanted = ["--flavor", next(iter(FLAVORS)), "--image", IMAGES[0], "--nic", "none", "--config-drive", "true"]
    wanted += ["--user-data", str(file), "--password", "s3cret", "--property", "team=red"]
    made = demo_cli.ask("server", "create", *wanted, "--wait", "told")
    yield made
    demo_cli.run("server", "delete", "--wait", made["id"])


def _ask(cloud: Cloud, server: Any, path: str, *, body: bytes | None = None, secret: str = METADATA_SECRET) -> str:
    """Ask the metadata service as the proxy of a guest's network does."""
    headers = {
        "X-Instance-ID": server["id"],
        "X-Instance-ID-Signature": signature(secret, server["id"]),
        "X-Tenant-ID": server["project_id"],
        "X-Forwarded-For": "10.0.0.4",
    }
    asked = urllib.request.Request(f"{cloud.services.urls[METADATA]}{path}", body, headers)
    with urllib.request.urlopen(asked, timeout=_TIMEOUT_S) as answer:
        return bytes(answer.read()).decode()


def test_a_guest_is_told_who_it_is(cloud: Cloud, server: Any) -> None:
    assert (server["status"], server["config_drive"], server["adminPass"]) == ("ACTIVE", "True", "s3cret")
    assert json.loads(_ask(cloud, server, "/openstack/latest/meta_data.json"))["meta"] == {"team": "red"}
    assert _ask(cloud, server, "/latest/user-data") == _USER_DATA
    with pytest.raises(urllib.error.HTTPError) as refused:
        _ask(cloud, server, "/latest/user-data", secret="another")
    with refused.value:
        assert refused.value.code == 403


def test_a_password_that_a_guest_posts_is_its_users(cloud: Cloud, server: Any, demo: Any) -> None:
    sealed = base64.b64encode(b"sealed").decode()
    _ask(cloud, server, "/openstack/latest/password", body=sealed.encode())
    assert demo.compute.get_server_password(server["id"]) == sealed
    demo.compute.clear_server_password(server["id"])
    assert not demo.compute.get_server_password(server["id"])


def test_a_password_is_set_in_the_guest(demo_cli: Command, server: Any) -> None:
    demo_cli.run("server", "set", "--password", "another", server["id"])


@pytest.mark.parametrize(("kind", "greeting"), [("--novnc", b"RFB 003.008\n"), ("--serial", b"\r\nlogin: ")])
def test_the_command_shows_where_a_console_is(
    cloud: Cloud, demo_cli: Command, server: Any, kind: str, greeting: bytes
) -> None:
    url = demo_cli.ask("console", "url", "show", kind, server["id"])["url"]
    parts = urlsplit(url)
    assert f"http://{parts.netloc}" == cloud.services.urls[CONSOLES]
    if kind == "--novnc":
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as page:
            assert b"noVNC" in page.read()
    query = parse_qs(parts.query).get("path", [f"?{parts.query}"])[0]
    with connect(f"ws://{parts.netloc}/{query}", proxy=None, open_timeout=_TIMEOUT_S) as browser:
        assert browser.recv(_TIMEOUT_S) == greeting
        demo_cli.run("server", "stop", server["id"])
        demo_cli.reaches(server["id"], "SHUTOFF")
        with pytest.raises(ConnectionClosed):
            browser.recv(_TIMEOUT_S)
    demo_cli.run("server", "start", server["id"])
    demo_cli.reaches(server["id"], "ACTIVE")
