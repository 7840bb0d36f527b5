"""A guest as libvirt's domain XML, and back: pure. XML is built as a tree, never as text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from nova_lite.compute.virt.libvirt import console_xml
from nova_lite.compute.virt.libvirt.console_xml import Listening
from nova_lite.compute.virt.libvirt.properties import Hardware
from nova_lite.errors import GuestFailed
from nova_lite.model.block_device import free_name
from nova_lite.model.guest import GuestSpec

#: The namespace of what we write into a domain's ``<metadata>``.
NAMESPACE = "urn:nova-lite:guest:1"

#: Where a guest's agent listens.
AGENT_CHANNEL = "org.qemu.guest_agent.0"

#: How many ports a guest has at least, where each device takes one: it is made with half as many.
_PORTS = 16

_OWN = f"{{{NAMESPACE}}}"

#: What XML 1.0 cannot carry, in no spelling.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

ElementTree.register_namespace("nova-lite", NAMESPACE)


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk file of a guest. ``backing`` is the (path, format) of the file below it, which has none below itself."""

    path: str
    disk_format: str
    is_config_drive: bool = False
    backing: tuple[str, str] | None = None
    #: Of a config drive: whether it is a cdrom, else it is a disk that cannot be written to.
    is_cdrom: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """What a definition takes from the host and not from the guest's specification."""

    hostname: str
    virt_type: str
    console_log: str
    disk_cache: str = "none"
    listening: Listening = field(default_factory=Listening)


@dataclass(frozen=True, slots=True)
class Mark:
    """What our metadata says about a domain: whose it is, and its fence."""

    hostname: str
    epoch: int


def domain(
    spec: GuestSpec, hardware: Hardware, disks: Sequence[Disk], setting: Setting, volumes: Sequence[Element] = ()
) -> str:
    """Return the definition of the guest, as text.

    ``volumes`` are disks of their own making, which have their names; the others get those that are left. The first
    comes first when the guest boots from it.
    """
    root = Element("domain", type=setting.virt_type)
    _text(root, "name", domain_name(spec.uuid))
    _text(root, "uuid", spec.uuid)
    _add_mark(root, spec, setting)
    _text(root, "memory", str(spec.ram_mib), unit="MiB")
    _text(root, "vcpu", str(spec.vcpus))
    _add_firmware(root, spec, hardware)
    features = SubElement(root, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    _add_cpu(root, spec, setting)
    SubElement(root, "clock", offset="utc")
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "restart")
    _text(root, "on_crash", "destroy")
    devices = SubElement(root, "devices")
    first, rest = (volumes[:1], volumes[1:]) if spec.boots_from_volume else ((), volumes)
    devices.extend(first)
    _add_disks(devices, hardware, disks, setting, {_target_of(each, "dev") for each in volumes})
    devices.extend(rest)
    _add_controllers(devices, hardware)
    console_xml.add(devices, setting.listening, setting.console_log)
    if hardware.has_agent:
        _add_agent_channel(devices)
    rng = SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    SubElement(devices, "memballoon", model="virtio")
    return ElementTree.tostring(root, encoding="unicode")


def with_epoch(xml: str, epoch: int) -> str:
    """Return a definition, as libvirt hands it out, with another epoch."""
    root = ElementTree.fromstring(xml)  # noqa: S314 - from libvirt
    for element in root.iter(f"{_OWN}epoch"):
        element.text = str(epoch)
    return ElementTree.tostring(root, encoding="unicode")


def has_disk(xml: str, path: str) -> bool:
    """Return whether a definition has the disk file ``path``."""
    root = ElementTree.fromstring(xml)  # noqa: S314 - from libvirt
    return any(source.get("file") == path for source in root.iterfind("devices/disk/source"))


def domain_name(uuid: str) -> str:
    """Return the name of an instance's domain."""
    return f"instance-{uuid}"


def read_mark(metadata_xml: str) -> Mark | None:
    """Return what a domain's metadata element says, as libvirt hands it out: without namespaces. None: not ours."""
    try:
        element = ElementTree.fromstring(metadata_xml)  # noqa: S314 - from libvirt
        return Mark(element.findtext("host") or "", int(element.findtext("epoch") or ""))
    except (ElementTree.ParseError, ValueError):
        return None


def _add_mark(root: Element, spec: GuestSpec, setting: Setting) -> None:
    mark = SubElement(SubElement(root, "metadata"), f"{_OWN}instance")
    _text(mark, f"{_OWN}uuid", spec.uuid)
    _text(mark, f"{_OWN}host", setting.hostname)
    _text(mark, f"{_OWN}epoch", str(spec.epoch))
    _text(mark, f"{_OWN}name", spec.name)


def _add_firmware(root: Element, spec: GuestSpec, hardware: Hardware) -> None:
    # Guests recognise their cloud by these SMBIOS words; cloud-init for one looks at the product.
    system = SubElement(SubElement(root, "sysinfo", type="smbios"), "system")
    _text(system, "entry", "nova_lite", name="manufacturer")
    _text(system, "entry", "OpenStack Compute", name="product")
    _text(system, "entry", spec.uuid, name="serial")
    _text(system, "entry", spec.uuid, name="uuid")
    os_element = SubElement(root, "os")
    _text(os_element, "type", "hvm", arch="x86_64", machine=hardware.machine)
    SubElement(os_element, "boot", dev="hd")
    SubElement(os_element, "smbios", mode="sysinfo")


def _add_cpu(root: Element, spec: GuestSpec, setting: Setting) -> None:
    cpu = SubElement(root, "cpu")
    if setting.virt_type == "kvm":
        cpu.set("mode", "host-model")
    SubElement(cpu, "topology", sockets=str(spec.vcpus), cores="1", threads="1")


def _add_disks(devices: Element, hardware: Hardware, disks: Sequence[Disk], setting: Setting, taken: set[str]) -> None:
    for disk in disks:
        bus = hardware.config_drive_bus if disk.is_config_drive and disk.is_cdrom else hardware.disk_bus
        name = free_name([f"/dev/{each}" for each in taken], bus)
        if name is None:
            raise GuestFailed("The server has more disks than there are names.")
        devices.append(disk_element(disk, bus, name.removeprefix("/dev/"), setting.disk_cache))
        taken = {*taken, name.removeprefix("/dev/")}


def _add_controllers(devices: Element, hardware: Hardware) -> None:
    if any(_target_of(disk, "bus") == "scsi" for disk in devices.findall("disk")):
        SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    if hardware.machine == "q35":
        # Whatever is plugged in while the guest runs needs a port that was there when it started.
        SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
        for _ in range(_PORTS):
            SubElement(devices, "controller", type="pci", model="pcie-root-port")


def _target_of(disk: Element, name: str) -> str:
    target = disk.find("target")
    return "" if target is None else target.get(name, "")


def disk_element(disk: Disk, bus: str, name: str, disk_cache: str) -> Element:
    """Return the device that a disk is on ``bus``, by ``name`` (``vda``)."""
    element = Element("disk", type="file", device="cdrom" if disk.is_config_drive and disk.is_cdrom else "disk")
    driver = SubElement(element, "driver", name="qemu", type=disk.disk_format, cache=disk_cache)
    SubElement(element, "source", file=disk.path)
    _add_backing(element, disk)
    SubElement(element, "target", dev=name, bus=bus)
    if disk.is_config_drive:
        SubElement(element, "readonly")
    else:
        driver.set("discard", "unmap")
    return element


def _add_backing(element: Element, disk: Disk) -> None:
    # The whole chain is spelled out, so that nobody ever looks into a file that a guest writes to learn its format.
    if disk.backing is None:
        SubElement(element, "backingStore")
        return
    path, disk_format = disk.backing
    below = SubElement(element, "backingStore", type="file")
    SubElement(below, "format", type=disk_format)
    SubElement(below, "source", file=path)
    SubElement(below, "backingStore")


def _add_agent_channel(devices: Element) -> None:
    channel = SubElement(devices, "channel", type="unix")
    SubElement(channel, "target", type="virtio", name=AGENT_CHANNEL)


def _text(parent: Element, tag: str, text: str, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = _NOT_XML.sub("\ufffd", text)
