"""What bringing a volume to a server, and taking it away, writes down in the server's cell.

One transaction of the cell's database each. The server's row is held meanwhile: that decides every race. The volume's
part, its attachment, is the block storage service's; see ``docs/decisions/0017-volumes-of-servers.rst``.
"""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.db.repositories.instances import Placed
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState
from nova_lite.model.workflow import Workflow

ATTACH, DETACH, EXTEND, SWAP = "attach-volume", "detach-volume", "extend-volume", "swap-volume"
#: Work on a server's volumes, which goes on beside others; what moves or remakes its guest waits for it.
KINDS = (ATTACH, DETACH, SWAP)
#: A fact of work that takes a volume away: the volume shows that.
SHOWN = "is_shown"
#: Seconds that a request has to reserve a volume, or to have it show that it goes; then a conductor goes on.
_REQUEST_S = 60.0


def begin_attach(
    session: Session, uuid: str, wanted: BlockDevice, requester: Requester, *, timeout_s: float
) -> BlockDevice:
    """Give a volume a place among a server's and return the place; its attachment is to be reserved now.

    ``wanted`` has no name where the server may choose it. A conductor takes the place back unless ``note_reserved``
    follows. Raises NotFound, Conflict when the server's state forbids it or the name is taken, Invalid when it has the
    volume already, Forbidden when no name is left.
    """
    instance = instances.lock(session, uuid)
    operations.refuse_if_wrong_state(instance, ATTACH)
    known = block_device.of_volume(instance.volumes, wanted.volume_id or "")
    if known is not None:
        raise errors.Invalid(f"Volume {wanted.volume_id} is attached to instance {uuid} already.")
    work = _work(uuid, ATTACH, wanted, requester, beside=others_at_work(instance))
    workflows.add(session, CellWorkflowRow, work, timeout_s=timeout_s, held_back_s=_REQUEST_S)
    device = replace(
        wanted, device_name=_name(instance, wanted), phase=Phase.RESERVING, work=work.uuid, attachment_id=None
    )
    instances.change(session, uuid, **instances.with_volumes((*instance.volumes, device)))
    return device


def note_reserved(session: Session, uuid: str, device: BlockDevice, attachment_id: str, requester: Requester) -> bool:
    """Note the attachment of a volume that comes; False when nobody waits for it any more: then it is to be removed."""
    try:
        instance = instances.hold_placed(session, uuid)
    except errors.NotFound:
        return False
    known = block_device.find(instance.volumes, device.uuid)
    if known is None or known.phase is not Phase.RESERVING or instance.task_state is TaskState.DELETING:
        return False
    _write(session, instance, known, phase=Phase.ATTACHING, attachment_id=attachment_id)
    # Whoever noted this before found another phase.
    begin_action(session, uuid, ATTACH, requester, may_be_known=False)
    workflows.hasten(session, CellWorkflowRow, str(known.work))
    return True


def give_up(session: Session, uuid: str, device: BlockDevice, *, may_be_reserved: bool) -> None:
    """Take back a place whose volume was refused; where it ``may_be_reserved``, a conductor sees to that first."""
    if may_be_reserved:
        workflows.hasten(session, CellWorkflowRow, str(device.work))
        return
    try:
        instance = instances.hold_placed(session, uuid)
    except errors.NotFound:
        return
    if workflows.withdraw(session, CellWorkflowRow, str(device.work)):
        drop(session, instance, device.uuid)


def begin_detach(
    session: Session, uuid: str, volume_id: str, requester: Requester, *, timeout_s: float, is_held_back: bool = False
) -> Workflow:
    """Begin to take a volume from a server and return the recorded workflow.

    One that ``is_held_back`` waits a while for ``note_detaching`` or ``keep``, then goes on all the same. Raises
    NotFound when the server is gone or has no such volume, Conflict when its state forbids it or the volume comes or
    goes already.
    """
    instance = instances.lock(session, uuid)
    operations.refuse_if_wrong_state(instance, DETACH)
    device = _of_volume(instance, volume_id)
    if device.phase is not Phase.ATTACHED:
        raise errors.Conflict(f"Volume {volume_id} of instance {uuid} is {device.phase}.")
    work = _work(uuid, DETACH, device, requester, beside=others_at_work(instance))
    held_back_s = _REQUEST_S if is_held_back else None
    workflows.add(session, CellWorkflowRow, work, timeout_s=timeout_s, held_back_s=held_back_s)
    _write(session, instance, device, phase=Phase.DETACHING, work=work.uuid)
    begin_action(session, uuid, DETACH, requester, may_be_known=False)
    return work


def note_detaching(session: Session, work: Workflow, *, is_shown: bool) -> None:
    """Have a volume taken away by work that was held back; ``is_shown``: it shows so to others already."""
    workflows.hasten(session, CellWorkflowRow, work.uuid, facts={SHOWN: True} if is_shown else None)


def keep(session: Session, work: Workflow) -> None:
    """Let a server keep the volume that the block storage service refused to take away, unless work on that began."""
    if workflows.withdraw(session, CellWorkflowRow, work.uuid):
        bring_to(session, work.subject, str(work.inputs["device"]), Phase.ATTACHED, work=None)
        actions.take_back(
            session,
            instance_uuid=work.subject,
            request_id=work.request_id,
            action=operations.shown(DETACH),
        )


def begin_extend(session: Session, uuid: str, volume_id: str, requester: Requester, *, timeout_s: float) -> Workflow:
    """Begin to have a guest see that a volume of it has grown, and return the recorded workflow.

    Raises NotFound when the server is gone or has no such volume.
    """
    instance = instances.lock(session, uuid)
    device = _of_volume(instance, volume_id)
    begin_action(session, uuid, EXTEND, requester)
    return record(session, uuid, EXTEND, device, requester, timeout_s=timeout_s)


def note_size(session: Session, uuid: str, device_uuid: str, size_gib: int) -> None:
    """Note how large a server's volume is."""
    instance = instances.hold_placed(session, uuid)
    device = block_device.find(instance.volumes, device_uuid)
    if device is not None:
        _write(session, instance, device, size_gib=size_gib)


def set_delete_on_termination(session: Session, uuid: str, volume_id: str, *, delete: bool) -> None:
    """Note whether a server's volume goes with it; raises NotFound."""
    instance = instances.hold_placed(session, uuid)
    device = _of_volume(instance, volume_id)
    changed = block_device.changed(instance.volumes, device.uuid, delete_on_termination=delete)
    instances.change(session, uuid, **instances.with_volumes(changed))


def bring_to(session: Session, uuid: str, device_uuid: str, phase: Phase, *, work: str | None) -> Placed:
    """Note how far a volume is, and the workflow that is at it, if the server has it; return the server, held."""
    instance = instances.hold_placed(session, uuid)
    device = block_device.find(instance.volumes, device_uuid)
    if device is not None:
        changed = _write(session, instance, device, phase=phase, work=work)
        instance = replace(instance, volumes=changed)
    return instance


def drop(session: Session, instance: Instance | Placed, device_uuid: str) -> None:
    """Let a server have a volume no more; ``instance`` is held."""
    left = block_device.without(instance.volumes, device_uuid)
    instances.change(session, instance.uuid, **instances.with_volumes(left))


def is_in_phase(session: Session, host: str, uuid: str, epoch: int, device_uuid: str, phase: Phase) -> bool:
    """Return whether a server is on ``host`` at ``epoch``, and a volume of it in ``phase``: what agents ask."""
    try:
        instance = instances.placed(session, uuid)
    except errors.NotFound:
        return False
    device = block_device.find(instance.volumes, device_uuid)
    is_here = (instance.host, instance.epoch) == (host, epoch) and instance.task_state is not TaskState.DELETING
    return is_here and device is not None and device.phase is phase


def record(
    session: Session, uuid: str, kind: str, device: BlockDevice, requester: Requester, *, timeout_s: float
) -> Workflow:
    """Record work on a volume of a server, and return it."""
    work = _work(uuid, kind, device, requester)
    workflows.add(session, CellWorkflowRow, work, timeout_s=timeout_s)
    return work


def _work(
    uuid: str, kind: str, device: BlockDevice, requester: Requester, *, beside: Collection[str] | None = None
) -> Workflow:
    """Return work on a volume of a server; where nothing is ``beside`` it, it need not look whether it has to wait."""
    return Workflow.asked_by(
        requester, kind, uuid, {"device": device.uuid, "is_first": beside is not None and not beside}
    )


def begin_action(session: Session, uuid: str, action: str, requester: Requester, *, may_be_known: bool = True) -> None:
    """Record that something begins that a server's actions tell of, unless that ``may_be_known`` and is."""
    begin = actions.begin if may_be_known else actions.begin_new
    begin(
        session,
        instance_uuid=uuid,
        action=operations.shown(action),
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=operations.EVENTS[action],
    )


def others_at_work(instance: Instance | Placed, work: str | None = None) -> list[str]:
    """Return the work other than ``work`` by which volumes come to a server and go, but for what is being reserved.

    That is the block storage service's to answer: nobody waits for it.
    """
    return [
        device.work
        for device in instance.volumes
        if device.work not in (None, work) and device.phase is not Phase.RESERVING
    ]


def _of_volume(instance: Instance | Placed, volume_id: str) -> BlockDevice:
    device = block_device.of_volume(instance.volumes, volume_id)
    if device is None:
        raise errors.NotFound(f"Volume {volume_id} is not attached to instance {instance.uuid}.")
    return device


def _name(instance: Instance, wanted: BlockDevice) -> str:
    bus = wanted.disk_bus or instance.image_properties.get("hw_disk_bus", "virtio")
    volumes = [device.device_name for device in instance.volumes]
    local = block_device.local_names(
        bus,
        boots_from_volume=block_device.root_of(instance.volumes) is not None,
        ephemeral_gib=instance.flavor.ephemeral_gib,
        swap_mib=instance.flavor.swap_mib,
        has_config_drive=instance.has_config_drive,
        beside=volumes,
    )
    taken = [*local, *volumes]
    if wanted.device_name:
        if wanted.device_name in taken:
            raise errors.Conflict(f"The supplied device path ({wanted.device_name}) is in use.")
        return wanted.device_name
    name = block_device.free_name(taken, bus)
    if name is None:
        raise errors.Forbidden(
            "The maximum allowed number of disk devices (26) to attach to a single instance has been exceeded."
        )
    return name


def _write(
    session: Session, instance: Instance | Placed, device: BlockDevice, **values: object
) -> tuple[BlockDevice, ...]:
    changed = block_device.changed(instance.volumes, device.uuid, **values)
    instances.change(session, instance.uuid, **instances.with_volumes(changed))
    return changed
