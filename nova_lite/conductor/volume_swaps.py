"""What the block storage service is told of a volume that goes below a server to another place, and when that fails.

It migrates the volume: the server's volume is ``migrating``, and the next one is there to take its place. In the end
the next one's attachment is the volume's, and the next one goes; or the next one goes at once. All may be done twice.
"""

import logging

from nova_lite import errors
from nova_lite.clients.volumes import VolumesAs
from nova_lite.model.block_device import BlockDevice, Phase

LOG = logging.getLogger(__name__)

_MIGRATING = "migrating"


def abandon(service: VolumesAs, instance_uuid: str, device: BlockDevice) -> None:
    """Have a server hold nothing of the next volume, be that noted or not, and have it known that it was in vain."""
    for attachment in service.attachments_of(instance_uuid):
        if attachment.volume_id == device.next_volume_id:
            service.detach(attachment.id)
    if device.volume_id is None or device.next_volume_id is None or not is_migrating(service, device.volume_id):
        return
    try:
        service.complete_migration(device.volume_id, device.next_volume_id, has_failed=True)
    except (errors.NotFound, errors.Invalid, errors.Conflict) as exc:
        # Who asked for it was refused, or did not hear the answer, and has cleaned up.
        LOG.warning("Nobody waits for volume %s to fail to migrate: %s", device.volume_id, exc)


def complete(service: VolumesAs, device: BlockDevice) -> None:
    """Say that the server has the next volume; where its attachment was taken away, the next steps tell."""
    try:
        service.complete(device.next_attachment_id or "")
    except (errors.NotFound, errors.Invalid, errors.Conflict) as exc:
        LOG.warning("Attachment %s is not completed: %s", device.next_attachment_id, exc)


def remove_old(service: VolumesAs, device: BlockDevice) -> None:
    """Have the server hold the volume no more where it was; being migrated, it is not free for all that."""
    if device.attachment_id is not None:
        service.detach(device.attachment_id)


def complete_migration(service: VolumesAs, device: BlockDevice) -> None:
    """Have the volume be where the guest has it; raises Conflict while the block storage service sees it otherwise."""
    if device.volume_id is None or device.next_volume_id is None or _has_come(service, device):
        return
    kept = service.complete_migration(device.volume_id, device.next_volume_id, has_failed=False)
    if kept != device.volume_id:
        raise errors.Conflict(f"Volume {device.volume_id} was not migrated: volume {kept} is there instead.")


def settle(service: VolumesAs, instance_uuid: str, device: BlockDevice) -> None:
    """Bring the swap of a volume to an end whose server is gone: to the good one where the guest had the next."""
    if device.next_volume_id is None:
        return
    if device.phase is not Phase.SWAPPED:
        abandon(service, instance_uuid, device)
        return
    try:
        complete(service, device)
        remove_old(service, device)
        complete_migration(service, device)
    except (errors.NotFound, errors.Invalid, errors.Conflict) as exc:
        LOG.warning("Volume %s of server %s was not migrated: %s", device.volume_id, instance_uuid, exc)


def _has_come(service: VolumesAs, device: BlockDevice) -> bool:
    """Return whether the next volume's attachment is the volume's: nobody may have heard the answer."""
    try:
        return service.attachment(device.next_attachment_id or "").volume_id == device.volume_id
    except errors.NotFound:
        return False


def is_migrating(service: VolumesAs, volume_id: str) -> bool:
    """Return whether the block storage service waits to hear how a volume's migration went."""
    try:
        return service.show(volume_id).migration_status == _MIGRATING
    except errors.NotFound:
        return False
