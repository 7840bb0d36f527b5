"""Consoles in definitions: where they listen, and what becomes of them on another host."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt import console_xml
from nova_lite.compute.virt.libvirt.console_xml import Listening
from nova_lite.compute.virt.libvirt.consoles import parse_ports
from nova_lite.model.console import Ports

ALL = Listening(vnc="192.0.2.1", spice="192.0.2.2", serial="192.0.2.3", serial_port=10007)


def made(listening: Listening) -> Element:
    """Return a definition with these consoles, and what libvirt adds for the first serial port."""
    root = Element("domain")
    devices = ElementTree.SubElement(root, "devices")
    console_xml.add(devices, listening, "/i/console.log")
    twin = ElementTree.SubElement(devices, "console", type="pty")
    ElementTree.SubElement(twin, "target", type="serial", port="0")
    return root


def text(root: Element) -> str:
    return ElementTree.tostring(root, encoding="unicode")


def test_without_any_the_log_is_all() -> None:
    root = made(Listening())
    serial = root.find("devices/serial")
    assert serial is not None
    assert (serial.get("type"), serial.find("source")) == ("pty", None)
    assert root.find("devices/graphics") is None
    assert root.find("devices/video") is None
    assert [console_xml.ports(text(root), protocol) for protocol in ("vnc", "spice", "serial")] == [None] * 3


def test_each_listens_where_it_is_told() -> None:
    root = made(ALL)
    listens = {
        graphics.get("type"): listen.get("address")
        for graphics in root.iterfind("devices/graphics")
        for listen in graphics.iterfind("listen")
    }
    assert listens == {"vnc": "192.0.2.1", "spice": "192.0.2.2"}
    source = root.find("devices/serial/source")
    log = root.find("devices/serial/log")
    assert source is not None
    assert source.attrib == {"mode": "bind", "host": "192.0.2.3", "service": "10007"}
    assert log is not None
    assert log.get("file") == "/i/console.log"
    assert len(root.findall("devices/video")) == 1


@pytest.mark.parametrize(
    ("numbers", "ports"),
    [
        ({"port": "5901"}, Ports(5901)),
        ({"port": "-1", "tlsPort": "5902"}, Ports(-1, 5902)),
        ({"port": "5901", "tlsPort": "5902"}, Ports(5901, 5902)),
        ({"port": "-1"}, None),
        ({}, None),
    ],
)
def test_the_ports_that_libvirt_chose(numbers: dict[str, str], ports: Ports | None) -> None:
    root = made(ALL)
    graphics = root.find("devices/graphics[@type='spice']")
    assert graphics is not None
    graphics.attrib.update(numbers)
    assert console_xml.ports(text(root), "spice") == ports
    assert console_xml.ports(text(root), "serial") == Ports(10007)


def test_another_host_is_told_all() -> None:
    assert Listening.heard(ALL.told()) == ALL
    assert Listening.heard({}) == Listening()
    ipv6 = Listening(serial="2001:db8::1", serial_port=1)
    assert Listening.heard(ipv6.told()) == ipv6


def test_they_listen_there_then() -> None:
    root = made(ALL)
    console_xml.move(root, Listening(vnc="198.51.100.1", serial="198.51.100.3", serial_port=10000))
    addresses = [listen.get("address") for listen in root.iterfind("devices/graphics/listen")]
    assert addresses == ["198.51.100.1", "192.0.2.2"]
    assert console_xml.serial_port(text(root)) == 10000
    assert len(root.findall("devices/serial/source")) == 1
    assert root.find("devices/console") is None


def test_a_host_without_serial_consoles_has_but_the_log() -> None:
    root = made(ALL)
    console_xml.move(root, Listening())
    serial = root.find("devices/serial")
    assert serial is not None
    assert serial.get("type") == "pty"
    assert [part.tag for part in serial] == ["log", "target"]


def test_what_nobody_could_connect_to_stays_so() -> None:
    root = made(Listening())
    before = text(root)
    console_xml.move(root, ALL)
    assert text(root) == before


def test_a_guest_gets_another_port() -> None:
    xml = console_xml.with_serial(text(made(ALL)), Listening(serial="192.0.2.3", serial_port=10008))
    assert console_xml.serial_port(xml) == 10008


@pytest.mark.parametrize("text", ["0:10", "10:9", "1:65536"])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(errors.Misconfigured, match="port_range"):
        parse_ports(text)


def test_ports_from_first_to_last() -> None:
    assert parse_ports("10000:20000") == (10000, 20000)
