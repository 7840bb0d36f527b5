"""What a hypervisor driver is told about a guest, and what it tells back: values, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from nova_lite.model.plain import known


class PowerState(IntEnum):
    """A guest's power state, with the numbers the Compute API shows in ``OS-EXT-STS:power_state``."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


@dataclass(frozen=True, slots=True)
class VolumeDisk:
    """A volume as a disk of a guest.

    ``connection`` is how its host reaches it, as the block storage service says it: ``driver_volume_type`` and what
    that kind needs. It holds secrets. ``device_name`` is like ``/dev/vdb``; guests see ``volume_id`` as the serial.
    """

    volume_id: str
    device_name: str
    connection: dict[str, object] = field(repr=False)
    bus: str = "virtio"
    boot_index: int | None = None
    is_shareable: bool = False
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """Everything needed to make one guest.

    ``epoch`` is the fence: a move raises it, and a guest with an older one must not run.
    ``config_files`` is what the config drive holds, path → content.
    """

    uuid: str
    name: str
    epoch: int
    vcpus: int
    ram_mib: int
    root_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0
    has_config_drive: bool = False
    config_files: dict[str, bytes] = field(default_factory=dict, repr=False)
    image_properties: dict[str, str] = field(default_factory=dict)
    volumes: tuple[VolumeDisk, ...] = ()

    @property
    def boots_from_volume(self) -> bool:
        return any(disk.boot_index == 0 for disk in self.volumes)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A verified image file on this host, shared and never written to.

    ``path`` is a local file, ``disk_format`` is ``raw`` or ``qcow2`` as inspected (not as declared),
    ``virtual_size`` is in bytes.
    """

    image_id: str
    path: str
    disk_format: str
    virtual_size: int


@known
@dataclass(frozen=True, slots=True)
class RescueDevice:
    """How a rescued guest sees the disk it boots from, which then comes after all its own; ``bus`` None: as they are.

    Words are those of images' properties: ``disk`` or ``cdrom``; ``virtio``, ``scsi``, ``usb`` and so on.
    """

    kind: str = "disk"
    bus: str | None = None

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> "RescueDevice | None":
        """Return what an image's properties say of it; None where they say nothing: the disk comes first then."""
        kind, bus = properties.get(_RESCUE_DEVICE), properties.get(_RESCUE_BUS)
        return cls(kind or "disk", bus) if kind or bus else None


def names_rescue_device(properties: Mapping[str, str]) -> bool:
    """Return whether an image says both what its disk is to be and where, as rescues of servers on volumes want."""
    return _RESCUE_DEVICE in properties and _RESCUE_BUS in properties


_RESCUE_DEVICE, _RESCUE_BUS = "hw_rescue_device", "hw_rescue_bus"


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest as the hypervisor has it."""

    uuid: str
    epoch: int
    power_state: PowerState


@dataclass(frozen=True, slots=True)
class HostResources:
    """What one hypervisor host has in all: memory in MiB, disk in GiB, before reserves and ratios.

    ``runs`` are the kinds of guests it can run: architecture, hypervisor type and virtual machine mode of each; None
    is what an agent says that cannot tell.
    """

    vcpus: int
    ram_mib: int
    disk_gib: int
    hypervisor_type: str
    hypervisor_version: int
    hypervisor_hostname: str
    host_ip: str
    cpu_info: dict[str, object] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()
    runs: tuple[tuple[str, str, str], ...] | None = None
