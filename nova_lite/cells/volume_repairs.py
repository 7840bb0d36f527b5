"""What audits write down of volumes in the server's cell: work begun again, and volumes that a server must lose.

The server's row is held meanwhile, as in ``volumes.py``.
"""

import uuid as uuids
from dataclasses import replace

from sqlalchemy.orm import Session

from nova_lite.cells import volumes
from nova_lite.cells.operations import Requester
from nova_lite.db.repositories import instances
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.volume import Attachment
from nova_lite.model.workflow import Workflow


def begin_again(
    session: Session, uuid: str, device: BlockDevice, requester: Requester, *, timeout_s: float
) -> Workflow:
    """Begin the work anew that a volume of a server waits for: what it comes by, or goes by. Raises NotFound."""
    action = volumes.ATTACH
    if device.phase is Phase.DETACHING:
        action = volumes.DETACH
    elif device.next_volume_id is not None:
        action = volumes.SWAP
    instance = instances.lock(session, uuid)
    work = _begin(session, uuid, action, device, requester, timeout_s=timeout_s)
    changed = block_device.changed(instance.volumes, device.uuid, work=work.uuid)
    instances.change(session, uuid, **instances.with_volumes(changed))
    return work


def begin_losing(
    session: Session, uuid: str, attachment: Attachment, requester: Requester, *, timeout_s: float
) -> Workflow:
    """Begin to detach a volume that a server has without knowing of it; raises NotFound."""
    instance = instances.lock(session, uuid)
    taken = [device.device_name for device in instance.volumes]
    device = BlockDevice(
        uuid=str(uuids.uuid4()),
        volume_id=attachment.volume_id,
        device_name=block_device.free_name(["/dev/vda", *taken]) or "/dev/vda",
        attachment_id=attachment.id,
        phase=Phase.DETACHING,
    )
    work = _begin(session, uuid, volumes.DETACH, device, requester, timeout_s=timeout_s)
    devices = (*instance.volumes, replace(device, work=work.uuid))
    instances.change(session, uuid, **instances.with_volumes(devices))
    return work


def _begin(
    session: Session, uuid: str, action: str, device: BlockDevice, requester: Requester, *, timeout_s: float
) -> Workflow:
    volumes.begin_action(session, uuid, action, requester)
    return volumes.record(session, uuid, action, device, requester, timeout_s=timeout_s)
