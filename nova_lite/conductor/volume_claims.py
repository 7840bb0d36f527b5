"""What becomes of a server's volumes when the server is gone."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from nova_lite import errors
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.conductor import volume_swaps
from nova_lite.model.block_device import BlockDevice, made_name
from nova_lite.model.instance import Instance

LOG = logging.getLogger(__name__)

#: What a volume is that cannot be removed yet.
_BEING_MADE = ("creating", "downloading")
_RESERVED, _FILLED = "reserved", "downloading"


def free(volumes: Volumes, instance: Instance) -> None:
    """Have a server that is gone hold no volume any more, and remove those that go with it.

    Safe to do twice. Raises Unavailable when the block storage service does not answer, NotYet while a volume that
    is to go is still being made, or one is being filled anew.
    """
    if instance.volumes:
        free_devices(volumes.as_service(), instance.uuid, instance.volumes)


def everywhere(volumes: Volumes, instance: Instance) -> list[BlockDevice]:
    """Return the volumes of a server that was moving as each host may have them, be that noted or not."""
    if not instance.volumes:
        return []
    known = {device.volume_id: device for device in instance.volumes}
    return [
        replace(known[attachment.volume_id], attachment_id=attachment.id, old_attachment_id=None)
        for attachment in volumes.as_service().attachments_of(instance.uuid)
        if attachment.volume_id in known
    ]


def free_devices(service: VolumesAs, instance_uuid: str, devices: Sequence[BlockDevice]) -> None:
    """Have a server hold none of ``devices`` any more, as ``free`` does."""
    for device in devices:
        volume_swaps.settle(service, instance_uuid, device)
    # Not those that are noted alone: what was being reserved, or moved, has some that nobody could note.
    for attachment in service.attachments_of(instance_uuid):
        if attachment.status == _RESERVED:
            _refuse_while_filled(service, attachment.volume_id)
        service.detach(attachment.id)
    for device in devices:
        if device.delete_on_termination:
            for volume_id in _volumes_of(service, instance_uuid, device):
                _remove(service, instance_uuid, volume_id)


def _refuse_while_filled(service: VolumesAs, volume_id: str) -> None:
    """Raise NotYet while a volume is filled with an image: when it is, it becomes what it was, be it held or not."""
    try:
        status = service.show(volume_id).status
    except errors.NotFound:
        return
    if status == _FILLED:
        raise errors.NotYet(f"Volume {volume_id} is being filled.")


def _volumes_of(service: VolumesAs, instance_uuid: str, device: BlockDevice) -> list[str]:
    """Return a device's volume; where nobody could note which was made for it, whatever is called so."""
    if device.volume_id is not None:
        return [device.volume_id]
    if device.source_type == "volume":
        return []
    return [volume.id for volume in service.named(made_name(instance_uuid, device))]


def _remove(service: VolumesAs, instance_uuid: str, volume_id: str) -> None:
    """Remove a volume that goes with its server, unless somebody else has it."""
    try:
        service.delete(volume_id)
    except (errors.Invalid, errors.Conflict, errors.Forbidden) as exc:
        try:
            is_being_made = service.show(volume_id).status in _BEING_MADE
        except errors.NotFound:
            return
        if is_being_made:
            raise errors.NotYet(f"Volume {volume_id} is still being made.") from exc
        LOG.warning("Volume %s stays though server %s is gone: %s", volume_id, instance_uuid, exc)
