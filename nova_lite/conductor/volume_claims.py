"""What becomes of a server's volumes when the server is gone."""

import logging

from nova_lite import errors
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.instance import Instance

LOG = logging.getLogger(__name__)


def free(volumes: Volumes, instance: Instance) -> None:
    """Have a server that is gone hold no volume any more, and remove those that go with it.

    Safe to do twice. Raises Unavailable when the block storage service does not answer.
    """
    if not instance.volumes:
        return
    service = volumes.as_service()
    known = {device.attachment_id for device in instance.volumes}
    if None in known:
        # Being reserved when the server was deleted: nobody could note by which attachment.
        ours = {device.volume_id for device in instance.volumes}
        for attachment in service.attachments_of(instance.uuid):
            if attachment.id not in known and attachment.volume_id in ours:
                service.detach(attachment.id)
    for device in instance.volumes:
        if device.attachment_id is not None:
            service.detach(device.attachment_id)
        if device.delete_on_termination:
            _remove(service, instance, device)


def _remove(service: VolumesAs, instance: Instance, device: BlockDevice) -> None:
    """Remove a volume that goes with its server, unless somebody else has it."""
    if device.volume_id is None:
        return
    try:
        service.delete(device.volume_id)
    except (errors.Invalid, errors.Conflict, errors.Forbidden) as exc:
        LOG.warning("Volume %s stays though server %s is gone: %s", device.volume_id, instance.uuid, exc)
