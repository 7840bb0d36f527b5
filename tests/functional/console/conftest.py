"""Two cells, each with a host of imitated guests, and the console proxy before them."""

from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from nova_lite import config
from nova_lite.compute.actions.consoles import Consoles
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.console.service import ConsoleProxy
from nova_lite.db.repositories import instances
from nova_lite.model.console import Console
from nova_lite.model.guest import GuestSpec
from nova_lite.model.instance import Instance
from nova_lite.rpc import compute
from tests.functional.compute_api.cloud import CELL1, CELL2, Cloud

PATIENCE_S = 480.0
PAGE = "<!DOCTYPE html><html><title>noVNC</title><script></script></html>"
#: Seconds between the proxy's own looks at what is open: stories have it look when they want.
_SELDOM_S = 1e6


class Host:
    """A host with imitated guests that answers for their consoles; ``told`` is what it says instead, if anything."""

    def __init__(self, name: str) -> None:
        conf = config.load(files=[])
        conf.set_override("enabled", True, group="serial_console")
        self.driver = FakeDriver(name)
        self.told: Console | None = None
        self._consoles = Consoles(conf, self.driver)

    def console(self, instance_uuid: str, kind: str) -> dict[str, Any]:
        found = self.told or self._consoles.find(instance_uuid, kind)
        return {"kind": found.kind, "host": found.host, "port": found.port, "base_url": found.base_url}


@dataclass
class Site:
    """Two cells, each with one host, and a proxy."""

    cloud: Cloud
    hosts: dict[str, Host]
    proxy: ConsoleProxy

    def boot(self, cell_uuid: str = CELL1) -> Instance:
        server = self.cloud.add_server(cell_uuid, host="h1", epoch=1)
        self.hosts[cell_uuid].driver.spawn(GuestSpec(server.uuid, "vm", 1, 1, 64, 1), None)
        return server

    def path(self, server: Instance, kind: str = "novnc") -> str:
        """Ask for a console; return what a client asks the proxy for, as noVNC does."""
        protocol = {"novnc": "vnc"}.get(kind, kind)
        body = {"remote_console": {"protocol": protocol, "type": kind}}
        answer = self.cloud.client().post(f"/servers/{server.uuid}/remote-consoles", body)
        assert answer.status_code == 200, answer.text
        query = urlsplit(answer.json["remote_console"]["url"]).query
        (path,) = parse_qs(query).get("path", [f"?{query}"])
        return f"/{path}"

    def open(self, path: str, *, group: str = "vnc", **more: Any) -> ClientConnection:
        url = f"ws://127.0.0.1:{self.proxy.ports[group]}{path}"
        found: ClientConnection = connect(url, proxy=None, compression=None, open_timeout=PATIENCE_S, **more)
        return found

    def change(self, server: Instance, **values: Any) -> None:
        with self.cloud.cells.get(CELL1).db.writer() as session:
            instances.change(session, server.uuid, **values)

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Ask for a page."""
        connection = HTTPConnection("127.0.0.1", self.proxy.ports["vnc"], timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("consoles")
    (directory / "web").mkdir()
    (directory / "web" / "vnc_lite.html").write_text(PAGE)
    (directory / "secret").write_text("secret")
    cloud = Cloud(directory)
    hosts = {CELL1: Host("h1"), CELL2: Host("h1")}
    serving = [cloud.cells.get(uuid).bus.serve(compute.TOPIC, "h1", host) for uuid, host in hosts.items()]
    for each in serving:
        each.start()
    conf = cloud.conf
    conf.set_override("web", str(directory / "web"))
    conf.set_override("enabled", True, group="serial_console")
    for group, of in (("vnc", "novncproxy"), ("serial_console", "serialproxy")):
        conf.set_override(f"{of}_host", "127.0.0.1", group=group)
        conf.set_override(f"{of}_port", 0, group=group)
    conf.set_override("check_interval", _SELDOM_S, group="console")
    conf.set_override("allowed_origins", ["dashboard.example"], group="console")
    proxy = ConsoleProxy(conf)
    proxy.start()
    yield Site(cloud, hosts, proxy)
    proxy.stop()
    for each in serving:
        each.stop()
    for host in hosts.values():
        host.driver.close()
    cloud.close()


def refusal(site: Site, path: str, **more: Any) -> int:
    """Return the status with which a console is refused; nothing comes with it."""
    with pytest.raises(InvalidStatus) as caught:
        site.open(path, **more)
    assert not caught.value.response.body
    return caught.value.response.status_code


def opened(site: Site, path: str, **more: Any) -> None:
    """Open a console and see that it greets."""
    with site.open(path, **more) as browser:
        assert browser.recv(PATIENCE_S) == b"RFB 003.008\n"
