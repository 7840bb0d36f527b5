"""Definitions of guests that are rescued."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from nova_lite.compute.virt.libvirt.domain_xml import Disk, Setting, domain, has_disk
from nova_lite.compute.virt.libvirt.properties import Hardware
from nova_lite.compute.virt.libvirt.rescue_xml import rescued
from nova_lite.errors import GuestFailed
from nova_lite.model.guest import GuestSpec, RescueDevice

UUID = "6f1ba2a1-83f3-4df4-bd4d-3f3f21ab3e52"
SPEC = GuestSpec(uuid=UUID, name="vm", epoch=4, vcpus=2, ram_mib=512, root_gib=1)
SETTING = Setting("alpha", "qemu", "/i/console.log")
OWN = [Disk("/i/disk", "qcow2"), Disk("/i/disk.swap", "raw"), Disk("/i/disk.config", "raw", is_config_drive=True)]
RESCUE = Disk("/i/disk.rescue", "qcow2", backing=("/images/x", "qcow2"))


def defined(machine: str = "pc") -> str:
    """Return a guest's definition as libvirt gives it back."""
    hardware = Hardware() if machine == "pc" else Hardware("q35", config_drive_bus="sata")
    root = ElementTree.fromstring(domain(SPEC, hardware, OWN, SETTING))
    for disk in root.iterfind("devices/disk"):
        ElementTree.SubElement(disk, "address", type="pci", slot="0x04")
        ElementTree.SubElement(disk, "alias", name="virtio-disk0")
    kind = root.find("os/type")
    assert kind is not None
    kind.set("machine", {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}[machine])
    return ElementTree.tostring(root, encoding="unicode")


def test_a_rescued_guest_boots_from_the_disk_in_front_and_has_its_own_behind() -> None:
    xml = defined()
    text = rescued(xml, RESCUE, "none")
    found = ElementTree.fromstring(text)
    assert [path for path, _, _ in sources(found)] == ["/i/disk.rescue", "/i/disk", "/i/disk.swap", "/i/disk.config"]
    assert [(dev, placed) for _, dev, placed in sources(found)][:3] == [("vda", False), ("vdb", False), ("vdc", False)]
    assert found.find("devices/disk/backingStore/source") is not None
    assert has_disk(text, "/i/disk.rescue")
    assert not has_disk(xml, "/i/disk.rescue")
    assert found.find("metadata/*") is not None


def test_what_has_no_disk_cannot_be_rescued() -> None:
    with pytest.raises(ValueError, match="without a disk"):
        rescued("<domain><devices/></domain>", Disk("/i/disk.rescue", "qcow2"), "none")


@pytest.mark.parametrize(
    ("machine", "device", "target"),
    [
        ("pc", RescueDevice(), ("vdc", "virtio")),
        ("pc", RescueDevice("disk", "virtio"), ("vdc", "virtio")),
        ("pc", RescueDevice("disk", "scsi"), ("sda", "scsi")),
        ("pc", RescueDevice("disk", "usb"), ("sda", "usb")),
        ("pc", RescueDevice("cdrom"), ("hdb", "ide")),
        ("pc", RescueDevice("cdrom", "sata"), ("sda", "sata")),
        ("q35", RescueDevice("cdrom"), ("sdb", "scsi")),
    ],
)
def test_a_device_comes_last_and_is_booted_from(machine: str, device: RescueDevice, target: tuple[str, str]) -> None:
    before = ElementTree.fromstring(defined(machine))
    found = ElementTree.fromstring(rescued(defined(machine), RESCUE, "none", device))
    *own, last = found.findall("devices/disk")
    assert [ElementTree.tostring(disk) for disk in own] == [
        ElementTree.tostring(disk) for disk in before.findall("devices/disk")
    ]
    made = last.find("target")
    assert made is not None
    assert (last.get("device"), made.get("dev"), made.get("bus")) == (device.kind, *target)
    assert [boot.get("order") for boot in last.findall("boot")] == ["1"]
    assert len(list(found.iter("boot"))) == 1
    controllers = [each.get("model") for each in found.findall("devices/controller") if each.get("type") == "scsi"]
    assert controllers == (["virtio-scsi"] if target[1] == "scsi" else [])


def test_a_device_boots_before_all_that_had_an_order() -> None:
    root = ElementTree.fromstring(defined())
    first = root.find("devices/disk")
    assert first is not None
    ElementTree.SubElement(first, "boot", order="1")
    found = ElementTree.fromstring(
        rescued(ElementTree.tostring(root, encoding="unicode"), RESCUE, "none", RescueDevice())
    )
    assert [disk.find("boot") is not None for disk in found.findall("devices/disk")] == [False, False, False, True]


@pytest.mark.parametrize(
    ("machine", "device"),
    [
        ("pc", RescueDevice("floppy")),
        ("pc", RescueDevice("disk", "fdc")),
        ("pc", RescueDevice("cdrom", "virtio")),
        ("q35", RescueDevice("disk", "ide")),
    ],
)
def test_a_device_that_a_guest_cannot_have_is_refused(machine: str, device: RescueDevice) -> None:
    with pytest.raises(GuestFailed, match="hw_rescue"):
        rescued(defined(machine), RESCUE, "none", device)


def sources(root: Element) -> list[tuple[str, str, bool]]:
    """Return each disk's file, its name, and whether it is plugged in somewhere already."""
    found = []
    for disk in root.iterfind("devices/disk"):
        source, target = disk.find("source"), disk.find("target")
        assert source is not None
        assert target is not None
        found.append((source.get("file", ""), target.get("dev", ""), disk.find("address") is not None))
    return found
