"""A real guest's screen and serial port, through the real proxy: what a viewer says first, and typing at a shell."""

import random
import re
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from nova_lite import config
from nova_lite.compute import image_format
from nova_lite.compute.actions.consoles import Consoles
from nova_lite.compute.virt.libvirt.consoles import Offer
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.console.service import ConsoleProxy
from nova_lite.db.repositories import instances
from nova_lite.model.guest import BaseImage, GuestSpec
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState
from nova_lite.rpc import compute
from tests.functional.compute_api.cloud import CELL1, Cloud
from tests.integration.stack.libvirt import Libvirt, guest_image
from tests.integration.stack.neighbours import Neighbours

pytestmark = pytest.mark.timeout(1500)

#: Seconds for a guest to boot, or to answer: it is interpreted, perhaps beside others.
_PATIENCE_S = 480.0
#: Seconds after which whoever did not answer is asked again.
_ASK_AGAIN_S = 20.0
#: Where guests' serial ports are sought: above what the kernel gives to outgoing connections, so that none takes a port
#: between the look whether it is free and the start of its guest.
_PORTS, _FIRST = 20, range(61000, 65500)
#: What a shell tells a terminal beside text.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Host:
    """A host with real guests that answers for their consoles."""

    def __init__(self, uri: str, directory: Path) -> None:
        conf = config.load(files=[])
        conf.set_override("enabled", True, group="serial_console")
        conf.set_override("enabled", True, group="spice")
        first = random.choice(_FIRST)
        offer = Offer(vnc="127.0.0.1", spice="127.0.0.1", serial="127.0.0.1", serial_ports=(first, first + _PORTS))
        self.driver = LibvirtDriver("h1", uri, "qemu", directory, offer=offer)
        self.driver.connect()
        self._consoles = Consoles(conf, self.driver)

    def console(self, instance_uuid: str, kind: str) -> Any:
        return msgspec.to_builtins(self._consoles.find(instance_uuid, kind))


@dataclass
class Site:
    """One host with guests, and a proxy before it."""

    cloud: Cloud
    driver: LibvirtDriver
    proxy: ConsoleProxy
    image: BaseImage

    def boot(self) -> Instance:
        server = self.cloud.add_server(CELL1, host="h1", epoch=1)
        self.driver.spawn(GuestSpec(server.uuid, "vm", 1, 1, 128, 1), self.image)
        return server

    def url(self, server: Instance, protocol: str, kind: str) -> str:
        """Ask for a console; return where its websocket is."""
        body = {"remote_console": {"protocol": protocol, "type": kind}}
        answer = self.cloud.client().post(f"/servers/{server.uuid}/remote-consoles", body)
        assert answer.status_code == 200, answer.text
        query = urlsplit(answer.json["remote_console"]["url"]).query
        (path,) = parse_qs(query).get("path", [f"?{query}"])
        return f"ws://127.0.0.1:{self.proxy.ports['vnc']}/{path}"


@pytest.fixture(scope="module")
def site(neighbours: Neighbours, libvirt: Libvirt, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = guest_image(neighbours.site)
    inspected = image_format.inspect(path)
    image = BaseImage("tiny", str(path), inspected.disk_format, inspected.virtual_size)
    directory = Path(tempfile.mkdtemp(prefix="nova-lite-consoles-"))
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    host = Host(libvirt.uri, directory)
    serving = cloud.cells.get(CELL1).bus.serve(compute.TOPIC, "h1", host)
    serving.start()
    cloud.conf.set_override("novncproxy_host", "127.0.0.1", group="vnc")
    cloud.conf.set_override("novncproxy_port", 0, group="vnc")
    proxy = ConsoleProxy(cloud.conf)
    proxy.start()
    yield Site(cloud, host.driver, proxy, image)
    proxy.stop()
    serving.stop()
    for guest in host.driver.guests():
        host.driver.destroy(guest.uuid)
    host.driver.close()
    cloud.close()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def server(site: Site) -> Instance:
    return site.boot()


def opened(url: str) -> ClientConnection:
    found: ClientConnection = connect(url, proxy=None, compression=None, open_timeout=_PATIENCE_S)
    return found


def heard(viewer: ClientConnection, number: int = 0) -> bytes:
    """Return the next ``number`` bytes, in whichever pieces they come, or the next piece."""
    found = b""
    while len(found) < (number or 1):
        data = viewer.recv(_PATIENCE_S)
        assert isinstance(data, bytes)
        found += data
    assert len(found) == number or not number, found
    return found


def typed(terminal: ClientConnection, keys: str, answer: Callable[[str], bool]) -> str:
    """Type something, again if need be, until the guest says what ``answer`` takes; return all that it said."""
    deadline = time.monotonic() + _PATIENCE_S
    said, asked = "", 0.0
    while not answer(said):
        assert time.monotonic() < deadline, f"{keys!r} was answered {said!r}"
        if time.monotonic() - asked > _ASK_AGAIN_S:
            terminal.send(keys.encode())
            asked = time.monotonic()
        try:
            data = terminal.recv(1.0)
        except TimeoutError:
            continue
        assert isinstance(data, bytes)
        said = _ESCAPES.sub("", said + data.decode(errors="replace"))
    return said


def test_a_viewer_and_the_screen_agree(site: Site, server: Instance) -> None:
    with opened(site.url(server, "vnc", "novnc")) as viewer:
        version = heard(viewer, 12)
        assert version == b"RFB 003.008\n"
        viewer.send(version)
        assert heard(viewer, 2) == b"\x01\x01"  # no password: whoever comes so far had a token
        viewer.send(b"\x01")
        assert heard(viewer, 4) == b"\0\0\0\0"
        viewer.send(b"\x01")
        start = heard(viewer, 24 + len(f"QEMU (instance-{server.uuid})"))
        assert int.from_bytes(start[:2]) >= 640
        assert start[24:].decode() == f"QEMU (instance-{server.uuid})"


def test_a_viewer_of_spice_and_the_screen_agree(site: Site, server: Instance) -> None:
    """The link of the main channel: what the viewer can do, then what QEMU says to that, and its key."""
    with opened(site.url(server, "spice", "spice-html5")) as viewer:
        link = struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
        viewer.send(b"REDQ" + struct.pack("<III", 2, 2, len(link)) + link)
        said = heard(viewer)
        while len(said) < 20:
            said += heard(viewer)
        magic, major, _, length, error = struct.unpack("<4sIIII", said[:20])
        assert (magic, major, error) == (b"REDQ", 2, 0)
        assert length > 162  # its key alone has that many bytes


def test_an_open_console_is_cut_while_its_guest_runs_on(site: Site, server: Instance) -> None:
    with opened(site.url(server, "vnc", "novnc")) as viewer:
        heard(viewer, 12)
        with site.cloud.cells.get(CELL1).db.writer() as session:
            instances.change(session, server.uuid, task_state=TaskState.MIGRATING)
            instances.change(session, server.uuid, task_state=None)
        with pytest.raises(ConnectionClosed):
            viewer.recv(_PATIENCE_S)
        assert (viewer.close_code, viewer.close_reason) == (1008, "its token was revoked")
    with opened(site.url(server, "vnc", "novnc")) as viewer:
        assert heard(viewer, 12) == b"RFB 003.008\n"


def test_a_user_types_at_the_serial_port(site: Site, server: Instance) -> None:
    with opened(site.url(server, "serial", "serial")) as terminal:
        typed(terminal, "\n", lambda said: said.rstrip().endswith("login:"))
        typed(terminal, "root\n", lambda said: said.endswith("# "))
        assert "so 42 it is" in typed(terminal, "echo so $((6*7)) it is\n", lambda said: "so 42 it is" in said)
    # What is said there is kept as before.
    assert b"login:" in site.driver.console_output(server.uuid, lines=None)
    assert b"so 42 it is" in site.driver.console_output(server.uuid, lines=None)


def test_each_guest_has_its_own_ports(site: Site, server: Instance) -> None:
    other = site.boot()
    for protocol in ("vnc", "serial"):
        ports = {site.driver.console_ports(each.uuid, protocol) for each in (server, other)}
        assert len(ports) == 2
        assert None not in ports
    # A guest that was away comes back to a port of its own, whatever became of the one it had.
    before = site.driver.console_ports(other.uuid, "serial")
    assert before is not None
    site.driver.set_aside(other.uuid, timeout_s=0)
    with socket.create_server(("127.0.0.1", before.port)):
        site.driver.bring_back(other.uuid, 2, start=True)
        after = site.driver.console_ports(other.uuid, "serial")
    assert after is not None
    assert after not in (before, site.driver.console_ports(server.uuid, "serial"))
    site.driver.destroy(other.uuid)


def test_a_guest_that_is_off_has_none(site: Site) -> None:
    server = site.boot()
    url = site.url(server, "vnc", "novnc")
    with opened(url) as viewer:
        heard(viewer, 12)
        site.driver.power_off(server.uuid, timeout_s=0)
        with pytest.raises(ConnectionClosed):
            viewer.recv(_PATIENCE_S)
    with pytest.raises(InvalidStatus):
        opened(url)
    site.driver.destroy(server.uuid)
