"""The definition of a guest while it is rescued: its own with one disk more, which it boots from. Pure.

Where disks are plugged in is left to libvirt, for guests go by that and not by letters.
"""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from nova_lite.compute.virt.libvirt.domain_xml import Disk, disk_element
from nova_lite.errors import GuestFailed
from nova_lite.model.block_device import DEVICE_PREFIX, free_name
from nova_lite.model.guest import RescueDevice

#: What a rescue disk may be → on which buses a guest sees it.
_BUSES = {
    "disk": frozenset({"virtio", "scsi", "sata", "ide", "usb"}),
    "cdrom": frozenset({"scsi", "sata", "ide", "usb"}),
}


def rescued(xml: str, rescue: Disk, disk_cache: str, device: RescueDevice | None = None) -> str:
    """Return the definition ``xml`` with the disk ``rescue`` before its first, or behind its last if that is a device.

    Raises ValueError for a definition without a disk, GuestFailed for a device that such a guest cannot have.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314 - from libvirt
    devices = root.find("devices")
    disks = [] if devices is None else devices.findall("disk")
    first = next((disk for disk in disks if disk.get("device") == "disk"), None)
    if devices is None or first is None or first.find("target") is None:
        raise ValueError("a definition without a disk")
    bus = _value(first, "bus") or "virtio"
    if device is None:
        element = _in_front(disks, rescue, bus, disk_cache)
        devices.insert(list(devices).index(disks[0]), element)
    else:
        element = _behind(root, disks, rescue, _bus(root, bus, device), disk_cache)
        element.set("device", device.kind)
        devices.insert(list(devices).index(disks[-1]) + 1, element)
        _add_controller(devices, element)
    return ElementTree.tostring(root, encoding="unicode")


def _in_front(disks: list[Element], rescue: Disk, bus: str, disk_cache: str) -> Element:
    """Return the disk, and move those on its bus on by one letter."""
    prefix = DEVICE_PREFIX[bus]
    for disk in disks:
        moved = disk.find("target")
        if moved is not None and moved.get("dev", "").startswith(prefix):
            moved.set("dev", prefix + chr(ord(moved.get("dev", "")[len(prefix)]) + 1))
            for name in ("address", "alias"):
                for placed in disk.findall(name):
                    disk.remove(placed)
    return disk_element(rescue, bus, prefix + "a", disk_cache)


def _behind(root: Element, disks: list[Element], rescue: Disk, bus: str, disk_cache: str) -> Element:
    """Return the disk, and have the guest boot from it and nothing else."""
    name = free_name([f"/dev/{_value(disk, 'dev')}" for disk in disks], bus)
    if name is None:
        raise GuestFailed("The server has more disks than there are names.")
    for element in [root.find("os"), *root.iterfind("devices/*")]:
        for boot in [] if element is None else element.findall("boot"):
            element.remove(boot)  # type: ignore[union-attr]
    made = disk_element(rescue, bus, name.removeprefix("/dev/"), disk_cache)
    SubElement(made, "boot", order="1")
    return made


def _bus(root: Element, own: str, device: RescueDevice) -> str:
    """Return where the disk is plugged in; raises GuestFailed where that cannot be."""
    if device.kind not in _BUSES:
        raise GuestFailed(f"Image property hw_rescue_device={device.kind!r} is not supported here")
    kind = root.find("os/type")
    is_q35 = kind is not None and "q35" in kind.get("machine", "")
    default = own if device.kind == "disk" else "scsi" if is_q35 else "ide"
    bus = device.bus or default
    if bus not in _BUSES[device.kind] or (bus == "ide" and is_q35):
        raise GuestFailed(f"Image property hw_rescue_bus={bus!r} is not supported here for a {device.kind}")
    return bus


def _add_controller(devices: Element, disk: Element) -> None:
    # libvirt would take one that few guests have a driver for.
    has_one = any(each.get("type") == "scsi" for each in devices.findall("controller"))
    if _value(disk, "bus") == "scsi" and not has_one:
        SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")


def _value(disk: Element, name: str) -> str:
    target = disk.find("target")
    return "" if target is None else target.get(name, "")
