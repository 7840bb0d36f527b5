"""Consoles of this host's guests: where they listen, and ports for serial ones, which libvirt does not choose."""

import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from nova_lite import errors
from nova_lite.compute.virt.libvirt import console_xml, domains
from nova_lite.compute.virt.libvirt.bindings import libvirt
from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.console_xml import Listening
from nova_lite.model.console import Ports

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offer:
    """What consoles new guests get: addresses to listen at, and the first and last port of serial ones."""

    vnc: str | None = None
    spice: str | None = None
    serial: str | None = None
    serial_ports: tuple[int, int] = (10000, 20000)


def parse_ports(text: str) -> tuple[int, int]:
    """Return the first and the last port of ``FIRST:LAST``; raises Misconfigured."""
    first, _, last = text.partition(":")
    if not 0 < int(first) <= int(last) < 65536:
        raise errors.Misconfigured(f"[serial_console] port_range {text}: FIRST:LAST, ports from 1 to 65535.")
    return int(first), int(last)


class Consoles:
    """Gives consoles their places. A port belongs to a guest from when it is defined here until it is no more."""

    def __init__(self, connection: Connection, offer: Offer) -> None:
        self._connection = connection
        self._offer = offer
        self._lock = threading.Lock()
        #: Ports of guests that are just being defined here, or coming: the last ones of each.
        self._promised: dict[str, int] = {}

    def places(self, uuid: str) -> Listening:
        """Return where a guest's consoles are to listen; raises HostFailed when no port is left."""
        offer = self._offer
        port = None if offer.serial is None else self._free_port(uuid, offer.serial)
        return Listening(offer.vnc, offer.spice, offer.serial, port)

    def moved_back(self, uuid: str, xml: str) -> str:
        """Return the definition of a guest that was away, whose serial port may be another guest's by now."""
        if console_xml.serial_port(xml) is None:
            return xml
        return console_xml.with_serial(xml, self.places(uuid))

    def forget(self, uuid: str) -> None:
        """Give back what was promised to a guest that is no more."""
        with self._lock:
            self._promised.pop(uuid, None)

    def _free_port(self, uuid: str, address: str) -> int:
        first, last = self._offer.serial_ports
        with self._lock:
            of_others = {port for whose, port in self._promised.items() if whose != uuid}
            taken = of_others | self._connection.call(
                lambda connection: _serial_ports(connection, uuid), "reading ports"
            )
            for port in range(first, last + 1):
                if port not in taken and _is_free(address, port):
                    self._promised[uuid] = port
                    return port
        raise errors.HostFailed(f"Not able to acquire a free port for host {address}")


class ConsoleDriver:
    """The part of the driver's interface that is about consoles."""

    def _on_guest(self, uuid: str, use: Callable[[Any], T], doing: str) -> T:
        raise NotImplementedError

    def console_ports(self, uuid: str, protocol: str) -> Ports | None:
        """Look into the running guest's definition."""

        def look(domain: Any) -> Ports | None:
            domains.alive(domain)
            return console_xml.ports(domain.XMLDesc(0), protocol)

        return self._on_guest(uuid, look, "looking for a console of")


def _serial_ports(connection: Any, but: str) -> set[int]:
    """Return the ports of all guests here but one, running or not; whosever they are."""
    return set(_ports_of(domain for domain in connection.listAllDomains(0) if domain.UUIDString() != but))


def _ports_of(found: Iterable[Any]) -> Iterable[int]:
    for domain in found:
        try:
            port = console_xml.serial_port(domain.XMLDesc(0))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                continue
            raise
        if port is not None:
            yield port


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((address, port))
        except OSError:
            return False
    return True
