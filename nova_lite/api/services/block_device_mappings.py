"""What block device mappings of a request mean, in the new syntax and the old: pure.

A device comes from somewhere (an image, a snapshot, a volume, or nowhere: blank) and is put somewhere (a volume, or a
local disk). What is put into volumes is looked up and made elsewhere: ``boot_volumes.py``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_lite import errors
from nova_lite.model.block_device import DEVICE_PREFIX, free_name, local_names
from nova_lite.model.flavor import Flavor

IMAGE, SNAPSHOT, VOLUME, BLANK = "image", "snapshot", "volume", "blank"
LOCAL = "local"
#: Where a device of each source is put when the client does not say.
_USUAL = {IMAGE: LOCAL, SNAPSHOT: VOLUME, VOLUME: VOLUME, BLANK: LOCAL}
#: Where the root device of a server is said to be in the old syntax.
_ROOT = "vda"
_SWAP = "swap"
_OLD_LOCAL = re.compile(r"swap|ephemeral[0-9]{1,4}", re.ASCII)
#: A name that a disk can have: the bus's prefix and a letter.
_NAME = re.compile(r"(?:/dev/)?(?:xvd|vd|sd|hd)([a-z])", re.ASCII)
BAD_BOOT_ORDER = (
    "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is "
    "not valid."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One device as it was asked for. ``boot_index`` is None for one that is not booted from; sizes are in GiB.

    A local swap disk's ``size`` is in MiB.
    """

    source: str
    destination: str
    source_id: str | None = None
    boot_index: int | None = None
    size: int | None = None
    device_name: str | None = None
    delete_on_termination: bool = False
    disk_bus: str | None = None
    device_type: str | None = None
    guest_format: str | None = None
    tag: str | None = None
    volume_type: str | None = None

    @property
    def is_root(self) -> bool:
        return self.boot_index == 0

    @property
    def is_volume(self) -> bool:
        return self.destination == VOLUME

    @property
    def is_swap(self) -> bool:
        return self.source == BLANK and not self.is_volume and self.guest_format == _SWAP


def read(mappings: Sequence[Mapping[str, Any]], image_id: str, *, truth: Callable[[Any], bool]) -> tuple[Asked, ...]:
    """Return what ``block_device_mapping_v2`` asks for; ``truth`` reads a client's boolean. Raises Invalid."""
    found = (_read(mapping, has_image=bool(image_id), truth=truth) for mapping in mappings if not _is_none(mapping))
    asked = tuple(found)
    for one in asked:
        if one.source == IMAGE and not one.is_volume and one.source_id != image_id:
            raise _invalid("it names another image than imageRef.")
    return asked


def read_old(
    mappings: Sequence[Mapping[str, Any]], image_id: str, *, truth: Callable[[Any], bool], root: str = ""
) -> tuple[Asked, ...]:
    """Return what ``block_device_mapping`` asks for, with the image's disk when that is booted from. Raises Invalid.

    ``root`` is the name of the device that is booted from, where somebody says so.
    """
    root = root.removeprefix("/dev/") or _ROOT
    asked = tuple(_read_old(mapping, truth, root) for mapping in mappings if not _is_none(mapping))
    if image_id and not any(one.is_root for one in asked):
        return (Asked(IMAGE, LOCAL, image_id, boot_index=0), *asked)
    return asked


def refuse_misfits(asked: Sequence[Asked], flavor: Flavor, *, count: int) -> None:
    """Raise Invalid for devices that no server of ``flavor`` can have, or not ``count`` of them."""
    indexes = sorted(one.boot_index for one in asked if one.boot_index is not None)
    if indexes != list(range(len(indexes))) or not indexes:
        raise errors.Invalid(BAD_BOOT_ORDER)
    for one in asked:
        _refuse_misfit(one)
    volumes = [one.source_id for one in asked if one.source == VOLUME]
    if len(set(volumes)) < len(volumes):
        raise _invalid("a volume is named more than once.")
    if volumes and count > 1:
        raise errors.Invalid("Cannot attach one or more volumes to multiple instances")
    _refuse_too_much_local(asked, flavor)


def refuse_too_many_local(asked: Iterable[Asked], flavor: Flavor, most: int) -> None:
    """Raise Invalid for more local disks than ``most``, the flavor's among them; below 0 any are allowed."""
    local = [one for one in asked if not one.is_volume]
    blank = [one.is_swap for one in local if one.source == BLANK]
    by_flavor = (flavor.ephemeral_gib > 0 and False not in blank) + (flavor.swap_mib > 0 and True not in blank)
    if 0 <= most < len(local) + by_flavor:
        raise _invalid("You specified more local devices than the limit allows.")


def named(asked: Sequence[Asked], bus: str, flavor: Flavor, *, has_config_drive: bool) -> tuple[tuple[Asked, str], ...]:
    """Return the devices put into volumes, each with the name its disk gets, ``/dev/vdb``; raises Invalid.

    The disk that is booted from comes first, local disks next, unless clients name other places. ``bus`` is where disks
    are whose bus nobody says.
    """
    volumes = [one for one in asked if one.is_volume]
    boots_from_volume = any(one.is_root for one in volumes)
    if not boots_from_volume and any(_letter(one) == "a" for one in volumes):
        raise errors.Invalid(f"The volume cannot be assigned the same device name as the root device {_ROOT}")
    names: dict[int, str] = {}
    for index, one in enumerate(volumes):
        letter = _letter(one)
        if letter is not None:
            name = f"/dev/{DEVICE_PREFIX[one.disk_bus or bus]}{letter}"
            if name in names.values():
                raise errors.Invalid(f"The supplied device path ({one.device_name}) is in use.")
            names[index] = name
    unnamed = [index for index in range(len(volumes)) if index not in names]
    for index in sorted(unnamed, key=lambda index: not volumes[index].is_root):
        on = volumes[index].disk_bus or bus
        taken = list(names.values())
        if not volumes[index].is_root:
            taken += local_names(
                on,
                boots_from_volume=boots_from_volume,
                ephemeral_gib=flavor.ephemeral_gib,
                swap_mib=flavor.swap_mib,
                has_config_drive=has_config_drive,
                beside=taken,
            )
        name_left = free_name(taken, on)
        if name_left is None:
            raise errors.Invalid("The maximum allowed number of disk devices is exceeded.")
        names[index] = name_left
    return tuple((one, names[index]) for index, one in enumerate(volumes))


def _read(mapping: Mapping[str, Any], *, has_image: bool, truth: Callable[[Any], bool]) -> Asked:
    source = mapping.get("source_type")
    if source is None:
        raise _invalid("Some required fields are missing")
    asked = Asked(
        source=source,
        destination=mapping.get("destination_type") or _USUAL[source],
        source_id=mapping.get("uuid"),
        boot_index=_index(mapping.get("boot_index")),
        size=_number(mapping.get("volume_size")),
        device_name=mapping.get("device_name"),
        delete_on_termination=truth(mapping.get("delete_on_termination", False)),
        disk_bus=mapping.get("disk_bus") or None,
        device_type=mapping.get("device_type") or None,
        guest_format=mapping.get("guest_format") or None,
        tag=mapping.get("tag"),
        volume_type=mapping.get("volume_type") or None,
    )
    if source == BLANK and asked.source_id:
        raise _invalid("Invalid device UUID.")
    if source != BLANK and not asked.source_id:
        raise _invalid("Missing device UUID.")
    if source != BLANK and not asked.is_volume and not (source == IMAGE and has_image and asked.is_root):
        raise _invalid(f"Mapping {source} to local is not supported.")
    return asked


def _read_old(mapping: Mapping[str, Any], truth: Callable[[Any], bool], root: str) -> Asked:
    local = mapping.get("virtual_name") or ""
    size, name = _number(mapping.get("volume_size")), mapping.get("device_name")
    if _OLD_LOCAL.fullmatch(local):
        guest_format = _SWAP if local == _SWAP else None
        return Asked(BLANK, LOCAL, size=size, device_name=name, guest_format=guest_format, delete_on_termination=True)
    source = SNAPSHOT if mapping.get("snapshot_id") else VOLUME
    source_id = mapping.get(f"{source}_id")
    if not source_id:
        raise _invalid("Unrecognized legacy format.")
    return Asked(
        source,
        VOLUME,
        source_id,
        boot_index=0 if (name or "").removeprefix("/dev/") == root else None,
        size=size,
        device_name=name,
        delete_on_termination=truth(mapping.get("delete_on_termination", False)),
    )


def _refuse_misfit(one: Asked) -> None:
    if one.volume_type and not one.is_volume:
        raise _invalid("Specifying a volume_type with destination_type=local is not supported.")
    if one.volume_type and one.source == VOLUME:
        raise _invalid("Specifying volume type to existing volume is not supported.")
    if one.disk_bus is not None and one.disk_bus not in DEVICE_PREFIX:
        raise _invalid(f"The provided disk bus {one.disk_bus} is not valid.")
    if one.is_volume and one.device_type not in (None, "disk"):
        raise _invalid(f"A volume can be a disk here, not a {one.device_type[:64]}.")
    if one.is_volume and one.source == IMAGE and not one.size:
        raise errors.Invalid("Images with destination_type 'volume' need to have a non-zero size specified")
    if one.is_volume and one.source == BLANK and not one.size:
        raise errors.Invalid("Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size")
    if one.source == BLANK and one.is_root and not one.is_volume:
        raise errors.Invalid(BAD_BOOT_ORDER)


def _refuse_too_much_local(asked: Iterable[Asked], flavor: Flavor) -> None:
    local = [one for one in asked if one.source == BLANK and not one.is_volume]
    swaps = [one for one in local if one.is_swap]
    if len(swaps) > 1:
        raise _invalid("More than one swap drive requested.")
    if any((one.size or 0) > flavor.swap_mib for one in swaps):
        raise errors.Invalid("Swap drive requested is larger than instance type allows.")
    if sum(one.size or flavor.ephemeral_gib for one in local if not one.is_swap) > flavor.ephemeral_gib:
        raise errors.Invalid(
            "Ephemeral disks requested are larger than the instance type allows. If no size is given in one block "
            "device mapping, flavor ephemeral size will be used."
        )


def _is_none(mapping: Mapping[str, Any]) -> bool:
    """Return whether a mapping says that there shall be no device where an image would have one."""
    return bool(mapping.get("no_device"))


def _letter(asked: Asked) -> str | None:
    matched = _NAME.fullmatch(asked.device_name or "")
    return None if matched is None else matched.group(1)


def _index(value: int | str | None) -> int | None:
    """Return the place in the order of booting; None where a device is not booted from."""
    number = -1 if value is None else int(value)
    return number if number >= 0 else None


def _number(value: int | str | None) -> int | None:
    return None if value is None else int(value)


def _invalid(details: str) -> errors.Invalid:
    return errors.Invalid(f"Block Device Mapping is Invalid: {details}")
