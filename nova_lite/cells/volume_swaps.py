"""What putting another volume below a running server writes down in the server's cell.

Only the block storage service asks for that, while it migrates a volume: the server's volume keeps its id, and its data
goes to another one. One transaction each, as in ``volumes.py``; see ``docs/decisions/0019-swapped-volumes.rst``.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations, volumes
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, workflows
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.states import TaskState

#: Seconds that a request has to reserve the next volume, before a conductor takes up what it left.
_REQUEST_S = 60.0


def begin(
    session: Session, uuid: str, volume_id: str, next_id: str, requester: Requester, *, timeout_s: float
) -> BlockDevice:
    """Have ``next_id`` be what takes the place of a server's volume, and return the device; it is to be reserved now.

    A conductor takes that back unless ``note_reserved`` follows. Raises NotFound when the server is gone or has no such
    volume, Conflict when its state forbids it or the volume comes or goes already, Invalid when it has the next one.
    """
    instance = instances.lock(session, uuid)
    operations.refuse_if_wrong_state(instance, volumes.SWAP)
    device = block_device.of_volume(instance.volumes, volume_id)
    if device is None:
        raise errors.NotFound(f"Volume {volume_id} is not attached to instance {uuid}.")
    if device.phase is not Phase.ATTACHED:
        raise errors.Conflict(f"Volume {volume_id} of instance {uuid} is {device.phase}.")
    if next_id in {found for each in instance.volumes for found in (each.volume_id, each.next_volume_id)}:
        raise errors.Invalid(f"Invalid volume: volume {next_id} already attached")
    work = volumes.record(session, uuid, volumes.SWAP, device, requester, timeout_s=timeout_s)
    values = {"phase": Phase.SWAPPING, "next_volume_id": next_id, "next_attachment_id": None, "work": work.uuid}
    changed = block_device.changed(instance.volumes, device.uuid, **values)
    instances.change(session, uuid, **instances.with_volumes(changed))
    workflows.hold_back(session, CellWorkflowRow, work.uuid, delay_s=_REQUEST_S)
    return next(each for each in changed if each.uuid == device.uuid)


def note_reserved(session: Session, uuid: str, device: BlockDevice, attachment_id: str, requester: Requester) -> bool:
    """Note the attachment of the next volume; False when nobody waits for it any more: then it is to be removed."""
    try:
        instance = instances.lock(session, uuid)
    except errors.NotFound:
        return False
    known = block_device.find(instance.volumes, device.uuid)
    is_awaited = known is not None and (known.phase, known.work) == (Phase.SWAPPING, device.work)
    if not is_awaited or instance.task_state is TaskState.DELETING:
        return False
    _write(session, uuid, device.uuid, next_attachment_id=attachment_id)
    volumes.begin_action(session, uuid, volumes.SWAP, requester)
    workflows.hasten(session, CellWorkflowRow, str(device.work))
    return True


def give_up(session: Session, uuid: str, device: BlockDevice, *, may_be_reserved: bool) -> None:
    """Leave a volume whose next one was refused; where that ``may_be_reserved``, a conductor sees to it first."""
    if may_be_reserved:
        workflows.hasten(session, CellWorkflowRow, str(device.work))
        return
    try:
        instances.lock(session, uuid)
    except errors.NotFound:
        return
    if workflows.withdraw(session, CellWorkflowRow, str(device.work)):
        keep(session, uuid, device.uuid)


def note_swap(session: Session, uuid: str, device_uuid: str, *, work: str) -> None:
    """Note that the guest has the next volume."""
    _write(session, uuid, device_uuid, phase=Phase.SWAPPED, work=work)


def turn_back(session: Session, uuid: str, device_uuid: str, *, work: str) -> None:
    """Let no late message give the guest the next volume any more."""
    _write(session, uuid, device_uuid, phase=Phase.SWAPPING_BACK, work=work)


def keep(session: Session, uuid: str, device_uuid: str) -> None:
    """Let a server have its volume as before."""
    _write(
        session,
        uuid,
        device_uuid,
        phase=Phase.ATTACHED,
        work=None,
        next_volume_id=None,
        next_attachment_id=None,
    )


def leave(session: Session, uuid: str, device_uuid: str) -> None:
    """Let a volume be as it is, with nobody at work on it: an audit finds it."""
    _write(session, uuid, device_uuid, work=None)


def take_over(session: Session, uuid: str, device_uuid: str, size_gib: int) -> None:
    """Let a server have its volume by the attachment that the next one came by."""
    device = block_device.find(instances.lock(session, uuid).volumes, device_uuid)
    if device is not None:
        _write(
            session,
            uuid,
            device_uuid,
            phase=Phase.ATTACHED,
            work=None,
            attachment_id=device.next_attachment_id,
            next_volume_id=None,
            next_attachment_id=None,
            size_gib=size_gib,
        )


def _write(session: Session, uuid: str, device_uuid: str, **values: object) -> None:
    """Change a device of a server; one that it has no more is passed over."""
    instance = instances.lock(session, uuid)
    changed = block_device.changed(instance.volumes, device_uuid, **values)
    instances.change(session, uuid, **instances.with_volumes(changed))
