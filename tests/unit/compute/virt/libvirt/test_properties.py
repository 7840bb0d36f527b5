"""Which wishes of an image are granted."""

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.properties import Hardware, hardware


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        pytest.param({}, Hardware("pc", "virtio", "ide"), id="nothing asked"),
        pytest.param({"hw_machine_type": "q35"}, Hardware("q35", "virtio", "scsi"), id="q35"),
        pytest.param({"hw_disk_bus": "ide"}, Hardware("pc", "ide", "ide"), id="ide"),
        pytest.param({"hw_disk_bus": "scsi"}, Hardware("pc", "scsi", "ide"), id="scsi"),
        pytest.param({"hw_cdrom_bus": "sata"}, Hardware("pc", "virtio", "sata"), id="cdrom"),
        pytest.param({"hw_firmware_type": "bios", "hw_architecture": "x86_64"}, Hardware(), id="what is so anyway"),
        pytest.param({"os_distro": "debian", "owner_specified.x": "y"}, Hardware(), id="what is no hardware"),
        pytest.param({"kernel_id": ""}, Hardware(), id="an empty kernel"),
    ],
)
def test_granted(properties: dict[str, str], expected: Hardware) -> None:
    assert hardware(properties) == expected


@pytest.mark.parametrize(
    "properties",
    [
        {"hw_machine_type": "virt"},
        {"hw_machine_type": "pc,accel=kvm"},
        {"hw_disk_bus": "usb"},
        {"hw_disk_bus": ""},
        {"hw_disk_bus": "virtio'/>"},
        {"hw_machine_type": "q35", "hw_disk_bus": "ide"},
        {"hw_machine_type": "q35", "hw_cdrom_bus": "ide"},
        {"hw_cdrom_bus": "virtio"},
        {"hw_firmware_type": "uefi"},
        {"hw_architecture": "aarch64"},
        {"hypervisor_type": "xen"},
        {"kernel_id": "some-kernel"},
        {"ramdisk_id": "some-ramdisk"},
    ],
    ids=lambda properties: " ".join(f"{name}={value}" for name, value in properties.items()),
)
def test_refused(properties: dict[str, str]) -> None:
    with pytest.raises(errors.GuestFailed, match="not supported"):
        hardware(properties)
