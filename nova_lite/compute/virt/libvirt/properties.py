"""What an image's properties ask of the hardware, checked: pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from nova_lite import errors

#: Machine type → the buses it has for disks, and the one where a config drive is seen by the most guests. (Kernels
#: made for clouds often have no driver for q35's own SATA, so its config drive sits on virtio-scsi.)
_MACHINES = {
    "pc": (frozenset({"virtio", "scsi", "ide", "sata"}), "ide"),
    "q35": (frozenset({"virtio", "scsi", "sata"}), "scsi"),
}

#: Properties that change the hardware → the values that are honoured.
_ONLY = {
    "hw_architecture": frozenset({"x86_64"}),
    "architecture": frozenset({"x86_64"}),
    "hw_firmware_type": frozenset({"bios"}),
    "hypervisor_type": frozenset({"qemu", "kvm"}),
    "vm_mode": frozenset({"hvm"}),
    "hw_vm_mode": frozenset({"hvm"}),
}

#: What says yes.
_YES = frozenset({"1", "t", "true", "on", "y", "yes"})

#: Properties of guests that boot in a way no code here knows.
_NEVER = ("kernel_id", "ramdisk_id")


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware an image asks for."""

    machine: str = "pc"
    disk_bus: str = "virtio"
    config_drive_bus: str = "ide"
    has_agent: bool = False


def hardware(properties: Mapping[str, str]) -> Hardware:
    """Return the hardware that ``properties`` ask for; raises GuestFailed where that cannot be given."""
    for name in _NEVER:
        if properties.get(name):
            raise errors.GuestFailed(f"Image property {name} is not supported")
    for name, honoured in _ONLY.items():
        if name in properties:
            _choice(properties, name, "", honoured)
    machine = _choice(properties, "hw_machine_type", "pc", frozenset(_MACHINES))
    buses, default_cdrom = _MACHINES[machine]
    disk_bus = _choice(properties, "hw_disk_bus", "virtio", buses)
    config_drive_bus = _choice(properties, "hw_cdrom_bus", default_cdrom, buses - {"virtio"})
    has_agent = properties.get("hw_qemu_guest_agent", "").strip().lower() in _YES
    return Hardware(machine, disk_bus, config_drive_bus, has_agent)


def _choice(properties: Mapping[str, str], name: str, default: str, honoured: frozenset[str]) -> str:
    value = properties.get(name, default)
    if value not in honoured:
        shown = ", ".join(sorted(honoured))
        raise errors.GuestFailed(f"Image property {name}={value!r} is not supported here; one of: {shown}")
    return value
