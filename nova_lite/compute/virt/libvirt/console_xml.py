"""Consoles of guests in libvirt's definitions: screens that VNC or SPICE shows, and the serial port. Pure."""

from dataclasses import dataclass, replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from nova_lite.model.console import Ports

#: How what a landing guest's consoles are there is told between hosts.
_SERIAL = "serial"


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a guest's consoles listen: addresses, None for those it has not; ``serial_port`` goes with ``serial``."""

    vnc: str | None = None
    spice: str | None = None
    serial: str | None = None
    serial_port: int | None = None

    def told(self) -> dict[str, str]:
        """Return it as another host is told."""
        found = {"vnc": self.vnc, "spice": self.spice}
        if self.serial is not None and self.serial_port is not None:
            found[_SERIAL] = f"{self.serial_port}@{self.serial}"
        return {protocol: address for protocol, address in found.items() if address is not None}

    @staticmethod
    def heard(told: dict[str, str]) -> "Listening":
        """Return what another host told."""
        listening = Listening(told.get("vnc"), told.get("spice"))
        if _SERIAL not in told:
            return listening
        port, _, address = told[_SERIAL].partition("@")
        return replace(listening, serial=address, serial_port=int(port))


def add(devices: Element, listening: Listening, log: str) -> None:
    """Give a guest its consoles; what its serial port says is kept in the file ``log``, whoever listens."""
    serial = SubElement(devices, "serial", type="pty")
    SubElement(serial, "log", file=log, append="on")
    SubElement(serial, "target", port="0")
    _connect(serial, listening)
    screens = {"vnc": listening.vnc, "spice": listening.spice}
    for protocol, address in screens.items():
        if address is not None:
            graphics = SubElement(devices, "graphics", type=protocol, autoport="yes")
            _listen(graphics, address)
    if any(screens.values()):
        SubElement(SubElement(devices, "video"), "model", type="vga")


def ports(xml: str, protocol: str) -> Ports | None:
    """Return where a console of a running guest listens; None when the guest was made without."""
    devices = _parsed(xml).find("devices")
    if devices is None:
        return None
    if protocol == _SERIAL:
        port = _serial_port(devices)
        return None if port is None else Ports(port)
    for graphics in devices.iterfind("graphics"):
        if graphics.get("type") == protocol:
            port, tls_port = int(graphics.get("port", "-1")), int(graphics.get("tlsPort", "-1"))
            return Ports(port, tls_port if tls_port > 0 else None) if port > 0 or tls_port > 0 else None
    return None


def serial_port(xml: str) -> int | None:
    """Return the port that a guest's serial console has, running or not; None when nobody can connect to it."""
    devices = _parsed(xml).find("devices")
    return None if devices is None else _serial_port(devices)


def with_serial(xml: str, listening: Listening) -> str:
    """Return a definition with its serial console where ``listening`` says, else where nobody can connect to it."""
    root = _parsed(xml)
    for serial in root.iterfind("devices/serial"):
        _connect(serial, listening)
    _forget_twin(root)
    return ElementTree.tostring(root, encoding="unicode")


def move(root: Element, listening: Listening) -> None:
    """Have the consoles of a definition listen on another host."""
    for graphics in root.iterfind("devices/graphics"):
        address = {"vnc": listening.vnc, "spice": listening.spice}.get(graphics.get("type", ""))
        if address is not None:
            graphics.attrib.pop("listen", None)
            for old in graphics.findall("listen"):
                graphics.remove(old)
            _listen(graphics, address)
    for serial in root.iterfind("devices/serial"):
        if serial.get("type") == "tcp":
            _connect(serial, listening)
            _forget_twin(root)


def _listen(graphics: Element, address: str) -> None:
    SubElement(graphics, "listen", type="address", address=address)


def _connect(serial: Element, listening: Listening) -> None:
    """Have a serial port's other end be what ``listening`` says."""
    for name in ("source", "protocol", "alias"):
        for old in serial.findall(name):
            serial.remove(old)
    if listening.serial is None or listening.serial_port is None:
        serial.set("type", "pty")
        return
    serial.set("type", "tcp")
    source = Element("source", mode="bind", host=listening.serial, service=str(listening.serial_port))
    serial.insert(0, source)
    serial.insert(1, Element("protocol", type="raw"))


def _forget_twin(root: Element) -> None:
    """Remove what libvirt adds for the first serial port and makes anew: it would be compared with that."""
    devices = root.find("devices")
    if devices is None:
        return
    for console in devices.findall("console"):
        target = console.find("target")
        if target is not None and target.get("type") == "serial":
            devices.remove(console)


def _serial_port(devices: Element) -> int | None:
    for serial in devices.iterfind("serial"):
        source = serial.find("source")
        if serial.get("type") == "tcp" and source is not None:
            return int(source.get("service", "0")) or None
    return None


def _parsed(xml: str) -> Element:
    return ElementTree.fromstring(xml)  # noqa: S314 - from libvirt
