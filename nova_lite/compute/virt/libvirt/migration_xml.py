"""Definitions of guests that are migrated live: what they take along, and what they are on the other host. Pure."""

from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from nova_lite.compute.virt.libvirt import console_xml, volume_xml
from nova_lite.compute.virt.libvirt.domain_xml import NAMESPACE
from nova_lite.model.live_migration import Landing
from nova_lite.model.plain import known

_OWN = f"{{{NAMESPACE}}}"


@known
@dataclass(frozen=True, slots=True)
class LiveDisk:
    """A disk of a guest: its file, that file's format, its name in the guest, and what file is below it, if any."""

    path: str
    disk_format: str
    target: str
    is_read_only: bool = False
    below: str | None = None
    is_cdrom: bool = False


def disks(xml: str) -> list[LiveDisk]:
    """Return the file disks of a definition that are the host's: volumes are not."""
    found = []
    for element in _parsed(xml).iterfind("devices/disk"):
        if element.findtext("serial"):
            continue
        source, driver, target = element.find("source"), element.find("driver"), element.find("target")
        path = None if source is None else source.get("file")
        if path is None or driver is None or target is None:
            continue
        below = element.find("backingStore/source")
        found.append(
            LiveDisk(
                path,
                driver.get("type", "raw"),
                target.get("dev", ""),
                is_read_only=element.find("readonly") is not None,
                below=None if below is None else below.get("file"),
                is_cdrom=element.get("device") == "cdrom",
            )
        )
    return found


def cpu(xml: str) -> str | None:
    """Return the CPU that a running guest sees, or None where nothing is said of it."""
    element = _parsed(xml).find("cpu")
    if element is None or element.find("model") is None:
        return None
    return ElementTree.tostring(element, encoding="unicode")


def on_other_host(xml: str, landing: Landing, directory: str) -> str:
    """Return a definition, of a guest whose directory here is ``directory``, as it is where it lands.

    The disks that are copied have nothing below them there, volumes are reached as that host reaches them, and consoles
    listen where it says.
    """
    root = _parsed(xml)
    files = landing.disks
    for name, text in (("host", landing.host), ("epoch", str(landing.epoch))):
        for element in root.iter(f"{_OWN}{name}"):
            element.text = text
    for disk in root.iterfind("devices/disk"):
        source = disk.find("source")
        path = None if source is None else source.get("file")
        if source is not None and path is not None and path in files:
            source.set("file", files[path])
            _put_nothing_below(disk)
    volume_xml.replace_sources(root, landing.volumes)
    console_xml.move(root, console_xml.Listening.heard(landing.consoles))
    for log in root.iterfind("devices/*/log"):
        log.set("file", _elsewhere(log.get("file", ""), directory, landing.directory))
    return ElementTree.tostring(root, encoding="unicode")


def _put_nothing_below(disk: Element) -> None:
    for below in disk.findall("backingStore"):
        disk.remove(below)
    SubElement(disk, "backingStore")


def _elsewhere(path: str, here: str, there: str) -> str:
    return there + path.removeprefix(here) if here and path.startswith(f"{here}/") else path


def _parsed(xml: str) -> Element:
    return ElementTree.fromstring(xml)  # noqa: S314 - from libvirt
