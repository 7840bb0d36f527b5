"""Volumes that servers are made with: looked up, judged, made and reserved, all with the user's token.

The token ends with the request, so that everything that needs the user's rights is done here. What is made and
reserved for servers that are not written down in the end is given back; see ``conductor/spanning/free_volumes.py``.
"""

import logging
import uuid as uuids
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.block_device_mappings import BAD_BOOT_ORDER, BLANK, IMAGE, SNAPSHOT, VOLUME, Asked, named
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model.block_device import DEVICE_PREFIX, BlockDevice, Phase, made_name
from nova_lite.model.flavor import Flavor
from nova_lite.model.image import Image
from nova_lite.model.volume import NewVolume, Volume

LOG = logging.getLogger(__name__)

_GIB = 1 << 30
_OLD_VERSION = (
    "Multiattach volumes are only supported starting with compute API version 2.60: volume {} cannot be attached."
)
#: What a volume's image metadata has beside properties.
_NO_PROPERTIES = frozenset(
    {"image_id", "image_name", "size", "checksum", "container_format", "disk_format", "min_ram", "min_disk"}
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One device of each server to be: its place, and how its volume is made, None where that is there."""

    device: BlockDevice
    new: NewVolume | None = None


@dataclass(frozen=True)
class Plan:
    """The volumes of servers to be. ``root`` stands for the image where they boot from one of them."""

    devices: tuple[Planned, ...] = ()
    root: Image | None = None
    zone: str | None = None

    @property
    def shares_volumes(self) -> bool:
        return any(each.device.is_multiattach for each in self.devices)

    def for_one(self) -> "Plan":
        """Return the plan for one of the servers: its devices have names of their own."""
        devices = (replace(each, device=replace(each.device, uuid=str(uuids.uuid4()))) for each in self.devices)
        return replace(self, devices=tuple(devices))


@dataclass
class Held:
    """What is held for one server: as much as is known of it; given back if the server is not to be."""

    instance_uuid: str
    devices: list[BlockDevice]

    def to_free(self) -> list[BlockDevice]:
        """Return the devices as they are freed when the server is not to be: what was made goes, the rest stays."""
        return [replace(one, delete_on_termination=one.source_type != VOLUME) for one in self.devices]


class BootVolumes:
    """Looks up, makes and reserves volumes for new servers."""

    def __init__(self, conf: cfg.ConfigOpts, volumes: Volumes) -> None:
        self._conf = conf
        self._volumes = volumes

    def plan(
        self,
        token: str | None,
        asked: Sequence[Asked],
        flavor: Flavor,
        *,
        image: Image | None,
        show_image: Callable[[str], Image],
        has_config_drive: bool,
        shares: bool,
    ) -> Plan:
        """Return what is to be made and reserved; ``image`` is what the servers boot from if not from a volume.

        Where they boot from one all the same, it is the image that has them do so, and stands for their image.
        ``shares``: the client knows volumes that several servers may have. Raises Invalid, Unavailable.
        """
        wanted = [one for one in asked if one.is_volume]
        if not wanted:
            return Plan()
        service = self._as_user(token)
        found = {one.source_id: _volume(service, one.source_id) for one in wanted if one.source == VOLUME}
        root = next((self._root(service, one, found, show_image, image) for one in wanted if one.is_root), None)
        properties = root.properties if root is not None else image.properties if image is not None else {}
        has_config_drive = has_config_drive or properties.get("img_config_drive") == "mandatory"
        bus = properties.get("hw_disk_bus", "virtio")
        names = named(wanted, bus if bus in DEVICE_PREFIX else "virtio", flavor, has_config_drive=has_config_drive)
        devices = []
        for one, name in names:
            volume = found.get(one.source_id) if one.source == VOLUME else None
            if volume is not None:
                _refuse_taken(volume, shares=shares)
                size: int | None = volume.size_gib
            else:
                size = self._size(service, one, show_image)
            devices.append(_planned(one, name, volume, size))
        return Plan(tuple(devices), root, self._zone([volume for volume in found.values() if volume is not None]))

    def hold(self, token: str | None, held: Held, plan: Plan, zone: str | None) -> None:
        """Make and reserve one server's volumes, and note each in ``held`` as soon as there is one.

        ``zone`` is the servers'. Raises Invalid for what block storage refuses, Unavailable when it does not answer;
        what there is by then is in ``held``.
        """
        service = self._as_user(token)
        for index, each in enumerate(plan.devices):
            device = held.devices[index]
            if each.new is None:
                try:
                    attachment = service.reserve(str(device.volume_id), held.instance_uuid)
                except errors.NotFound as exc:
                    raise _no_volume(str(device.volume_id)) from exc
                except (errors.Conflict, errors.Forbidden) as exc:
                    raise errors.Invalid(f"Invalid volume: {exc.message}") from exc
                held.devices[index] = replace(device, attachment_id=attachment.id, phase=Phase.ATTACHED)
                continue
            # Only with the option are zones of servers and volumes the same ones.
            where = None if self._conf.cinder.cross_az_attach else zone
            new = replace(each.new, name=made_name(held.instance_uuid, device), availability_zone=where)
            try:
                made = service.create(new)
            except (errors.NotFound, errors.Conflict) as exc:
                raise errors.Invalid(exc.message) from exc
            held.devices[index] = replace(device, volume_id=made.id)

    def give_back(self, token: str | None, held: Held) -> None:
        """Give back what is known to be held for a server that is not to be, as far as that can be done at once."""
        try:
            service = self._as_user(token)
            for device in held.devices:
                if device.attachment_id is not None:
                    service.detach(device.attachment_id)
                elif device.volume_id is not None and device.source_type != VOLUME:
                    service.delete(device.volume_id)
        except errors.NovaLiteError as exc:
            LOG.info("Volumes of server %s, which is not to be, are freed later: %s", held.instance_uuid, exc)

    def _as_user(self, token: str | None) -> VolumesAs:
        try:
            return self._volumes.as_user(token or "")
        except errors.Misconfigured as exc:
            raise errors.Unavailable("There is no block storage service that could be asked.", cause=str(exc)) from exc

    def _root(
        self,
        service: VolumesAs,
        one: Asked,
        found: "dict[str | None, Volume]",
        show_image: Callable[[str], Image],
        image: Image | None,
    ) -> Image:
        """Return what stands for the image of a server that boots from a volume; ``image`` has it do so, if any."""
        if image is None and one.source == IMAGE:
            image = show_image(str(one.source_id))
        if image is not None:
            if one.size is not None and image.min_disk_gib > one.size:
                raise errors.Invalid(
                    f"Volume is smaller than the minimum size specified in image metadata. Volume size is "
                    f"{one.size * _GIB} bytes, minimum size is {image.min_disk_gib * _GIB} bytes."
                )
            return replace(image, id="")
        if one.source == BLANK:
            raise errors.Invalid(BAD_BOOT_ORDER)
        if one.source == SNAPSHOT:
            volume = _volume(service, _snapshot(service, str(one.source_id))[0])
        else:
            volume = found[one.source_id]
        if not volume.is_bootable:
            raise errors.Invalid(f"Block Device {volume.id} is not bootable.")
        known = volume.image_metadata
        properties = {name: value for name, value in known.items() if name not in _NO_PROPERTIES}
        return Image(
            id="",
            name=known.get("image_name", ""),
            status="active",
            disk_format=known.get("disk_format", ""),
            size=0,
            min_ram_mib=int(known.get("min_ram") or 0),
            properties=properties,
        )

    @staticmethod
    def _size(service: VolumesAs, one: Asked, show_image: Callable[[str], Image]) -> int | None:
        """Return the size of a volume to be made; raises Invalid when it cannot hold what it is made of."""
        if one.source == SNAPSHOT:
            _, least = _snapshot(service, str(one.source_id))
            if one.size is not None and one.size < least:
                raise errors.Invalid(
                    f"Invalid volume: Volume size '{one.size}'GB cannot be smaller than the snapshot size {least}GB."
                )
            return one.size or least
        if one.source == IMAGE:
            image = show_image(str(one.source_id))
            needed = max(image.size, image.virtual_size or 0, image.min_disk_gib * _GIB)
            if needed > (one.size or 0) * _GIB:
                raise errors.Invalid(
                    f"Invalid volume: Volume size {one.size}GB cannot be smaller than image {image.id}, which needs "
                    f"{needed} bytes."
                )
        return one.size

    def _zone(self, volumes: Sequence[Volume]) -> str | None:
        """Return the zone that volumes bind a server to; raises Invalid when they are of several."""
        if self._conf.cinder.cross_az_attach or not volumes:
            return None
        zones = sorted({volume.availability_zone or "" for volume in volumes})
        if len(zones) > 1:
            raise errors.Invalid(f"Volumes are in different availability zones: {','.join(zones)}")
        return zones[0]


def _planned(one: Asked, name: str, volume: Volume | None, size: int | None) -> Planned:
    device = BlockDevice(
        uuid="",
        volume_id=volume.id if volume is not None else None,
        device_name=name,
        phase=Phase.RESERVING,
        boot_index=one.boot_index,
        delete_on_termination=one.delete_on_termination,
        is_multiattach=volume is not None and volume.is_multiattach,
        tag=one.tag,
        disk_bus=one.disk_bus,
        device_type=one.device_type,
        size_gib=size,
        volume_type=volume.volume_type if volume is not None else one.volume_type,
        source_type=one.source,
        source_id=one.source_id,
    )
    if volume is not None:
        return Planned(device)
    new = NewVolume(
        size_gib=size or 0,
        image_id=one.source_id if one.source == IMAGE else None,
        snapshot_id=one.source_id if one.source == SNAPSHOT else None,
        volume_type=one.volume_type,
    )
    return Planned(device, new)


def _volume(service: VolumesAs, volume_id: str | None) -> Volume:
    try:
        return service.show(str(volume_id))
    except (errors.NotFound, errors.Forbidden, errors.Invalid) as exc:
        raise _no_volume(str(volume_id)) from exc


def _no_volume(volume_id: str) -> errors.Invalid:
    return errors.Invalid(f"Block Device Mapping is Invalid: failed to get volume {volume_id[:64]}.")


def _snapshot(service: VolumesAs, snapshot_id: str) -> tuple[str, int]:
    """Return whose snapshot it is, and its size."""
    try:
        found = service.snapshot(snapshot_id)
    except (errors.NotFound, errors.Forbidden, errors.Invalid) as exc:
        raise errors.Invalid(f"Block Device Mapping is Invalid: failed to get snapshot {snapshot_id[:64]}.") from exc
    if found.status != "available":
        raise errors.Invalid(f"Invalid snapshot: snapshot {snapshot_id} is {found.status}, not available.")
    return found.volume_id, found.size_gib


def _refuse_taken(volume: Volume, *, shares: bool) -> None:
    """Raise Invalid for a volume that cannot be attached now."""
    if volume.is_multiattach:
        if not shares:
            raise errors.Invalid(_OLD_VERSION.format(volume.id))
        allowed: tuple[str, ...] = ("available", "in-use")
    else:
        allowed = ("available",)
    if volume.status not in allowed:
        raise errors.Invalid(
            f"Invalid volume: volume {volume.id} status must be {' or '.join(allowed)} to be attached, but it is "
            f"{volume.status}."
        )
