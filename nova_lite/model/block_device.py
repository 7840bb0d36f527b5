"""What a server has of volumes: values and what is asked of them, no I/O."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from nova_lite.model.plain import known

#: Bus → how disks on it are named.
DEVICE_PREFIX = {"virtio": "vd", "scsi": "sd", "sata": "sd", "ide": "hd"}
#: The same with the bus that only a disk to rescue a guest with is on.
_PREFIX_TO_RESCUE = {**DEVICE_PREFIX, "usb": "sd"}
#: The letters of a bus's disks: sda to sdz, and no further.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Phase(StrEnum):
    """How far a volume is to or from its server. ``RESERVING``: its attachment is being asked for.

    ``SWAPPING``: it is copied to the next one, ``SWAPPED``: the guest has the next one, ``SWAPPING_BACK``: it is to
    have the old one again.
    """

    RESERVING = "reserving"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"
    SWAPPING = "swapping"
    SWAPPED = "swapped"
    SWAPPING_BACK = "swapping-back"


@known
@dataclass(frozen=True, slots=True)
class BlockDevice:
    """One volume of a server; kept with the server's row.

    ``uuid`` is its own name (the ``bdm_uuid`` of the API), ``attachment_id`` the block storage service's for the claim
    on the volume. ``boot_index`` 0 is the disk the server boots from, None is not booted from. ``size_gib`` is in GiB.
    A device of a boot may come from ``source_type`` image, snapshot or blank: then ``volume_id`` is None until its
    volume is made. ``work`` is the workflow that brings or takes it. ``old_attachment_id`` is the claim of the host
    that the server left and may come back to. ``next_volume_id`` is the volume that is to take this one's place below
    the running guest, ``next_attachment_id`` the claim on that.
    """

    uuid: str
    volume_id: str | None
    device_name: str
    attachment_id: str | None = None
    phase: Phase = Phase.ATTACHED
    work: str | None = None
    boot_index: int | None = None
    delete_on_termination: bool = False
    is_multiattach: bool = False
    tag: str | None = None
    disk_bus: str | None = None
    device_type: str | None = None
    size_gib: int | None = None
    volume_type: str | None = None
    source_type: str = "volume"
    source_id: str | None = None
    old_attachment_id: str | None = None
    next_volume_id: str | None = None
    next_attachment_id: str | None = None


def of_volume(devices: Iterable[BlockDevice], volume_id: str) -> BlockDevice | None:
    """Return the device that a volume is, or None."""
    return next((device for device in devices if device.volume_id == volume_id), None)


def find(devices: Iterable[BlockDevice], uuid: str) -> BlockDevice | None:
    """Return the device called ``uuid``, or None."""
    return next((device for device in devices if device.uuid == uuid), None)


def changed(devices: Iterable[BlockDevice], uuid: str, **values: object) -> tuple[BlockDevice, ...]:
    """Return the devices with one of them changed."""
    return tuple(
        replace(device, **values) if device.uuid == uuid else device  # type: ignore[arg-type]
        for device in devices
    )


def without(devices: Iterable[BlockDevice], uuid: str) -> tuple[BlockDevice, ...]:
    """Return the devices but for one."""
    return tuple(device for device in devices if device.uuid != uuid)


def moved(devices: Iterable[BlockDevice], attachments: Mapping[str, str]) -> tuple[BlockDevice, ...]:
    """Return the devices with ``attachments`` (by the devices' names) of the host that their server moves to."""
    return tuple(
        replace(device, attachment_id=attachments[device.uuid], old_attachment_id=device.attachment_id)
        if device.uuid in attachments
        else device
        for device in devices
    )


def moved_back(devices: Iterable[BlockDevice], attachments: Mapping[str, str]) -> tuple[BlockDevice, ...]:
    """Return the devices with those of the host that their server left; ``attachments`` are of what came since."""
    return tuple(
        replace(
            device,
            attachment_id=device.old_attachment_id or attachments.get(device.uuid) or device.attachment_id,
            old_attachment_id=None,
        )
        for device in devices
    )


def settled(devices: Iterable[BlockDevice]) -> tuple[BlockDevice, ...]:
    """Return the devices of a server that stays where it is."""
    return tuple(replace(device, old_attachment_id=None) for device in devices)


def at_none(devices: Iterable[BlockDevice], attachments: Mapping[str, str]) -> tuple[BlockDevice, ...]:
    """Return the devices of a server that leaves its host for good, with ``attachments`` that no host has."""
    return settled(moved(devices, attachments))


def at(devices: Iterable[BlockDevice], attachments: Mapping[str, str]) -> tuple[BlockDevice, ...]:
    """Return the devices that a host has, or was to have, by ``attachments``, as it knows them."""
    return tuple(
        replace(device, attachment_id=attachments[device.uuid], old_attachment_id=None)
        for device in devices
        if device.uuid in attachments
    )


def as_left(devices: Iterable[BlockDevice]) -> tuple[BlockDevice, ...]:
    """Return the devices that a server's old host has, as it knows them."""
    return tuple(
        replace(device, attachment_id=device.old_attachment_id, old_attachment_id=None)
        for device in devices
        if device.old_attachment_id is not None
    )


def claims(devices: Iterable[BlockDevice]) -> set[str]:
    """Return the attachments of devices, those of an old host and of volumes that are to take their place too."""
    found = (
        claim
        for device in devices
        for claim in (device.attachment_id, device.old_attachment_id, device.next_attachment_id)
    )
    return {claim for claim in found if claim}


def next_of(device: BlockDevice) -> BlockDevice:
    """Return a device as it is with the volume that is to take its volume's place."""
    return replace(
        device,
        volume_id=device.next_volume_id,
        attachment_id=device.next_attachment_id,
        next_volume_id=None,
        next_attachment_id=None,
    )


def with_next(devices: Iterable[BlockDevice]) -> list[BlockDevice]:
    """Return the devices, and behind each that is being swapped what it is to be."""
    return [each for device in devices for each in ([device, next_of(device)] if device.next_volume_id else [device])]


def made_name(instance_uuid: str, device: BlockDevice) -> str:
    """Return what the volume is called that is made for a device: so it is found when the answer is lost."""
    return f"{instance_uuid}-{device.source_type}-{device.uuid}"


def root_of(devices: Iterable[BlockDevice]) -> BlockDevice | None:
    """Return the device a server boots from, None when that is no volume."""
    return next((device for device in devices if device.boot_index == 0), None)


def local_names(
    bus: str,
    *,
    boots_from_volume: bool,
    ephemeral_gib: int,
    swap_mib: int,
    has_config_drive: bool,
    beside: Collection[str] = (),
) -> list[str]:
    """Return the names that a server's disks on ``bus`` have that are no volumes, or may have.

    They have the first letters that its volumes, named ``beside``, leave free.
    """
    count = (not boots_from_volume) + (ephemeral_gib > 0) + (swap_mib > 0)
    # It is no disk on virtio; where it is depends on the machine.
    count += has_config_drive and bus != "virtio"
    names = (f"/dev/{DEVICE_PREFIX[bus]}{letter}" for letter in _LETTERS)
    return [name for name in names if name not in beside][:count]


def free_name(taken: Sequence[str], bus: str = "virtio") -> str | None:
    """Return the first name for a disk on ``bus`` (``/dev/vdb``) that is not ``taken``; None when all letters are."""
    prefix = f"/dev/{_PREFIX_TO_RESCUE[bus]}"
    return next((prefix + letter for letter in _LETTERS if prefix + letter not in taken), None)
