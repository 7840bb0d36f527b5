"""What is done to a server by writing it down in its cell, with no work to follow: its lock, its state set by hand.

Each is recorded among the server's actions. Who locked a server is told by the record of that, too.
"""

from typing import Any

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations, workflows
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.states import RESETTABLE, TaskState, VmState

_SET_BY_HAND = "An administrator set the state of the server."


def lock(session: Session, uuid: str, requester: Requester, reason: str | None) -> None:
    """Lock a server; its owner locks but an unlocked one, an administrator of elsewhere takes the lock over."""
    instance = instances.lock(session, uuid)
    if instance.is_locked and instance.project_id == requester.project_id:
        return
    # A reason once given stays, as long as no other one is.
    instances.change(session, uuid, locked=True, locked_reason=reason or instance.locked_reason)
    _record(session, instance, "lock", requester, event="api_lock")


def unlock(session: Session, uuid: str, requester: Requester) -> None:
    """Unlock a server, whoever locked it."""
    instance = instances.lock(session, uuid)
    instances.change(session, uuid, locked=False, locked_reason=None)
    _record(session, instance, "unlock", requester, event="api_unlock")


def is_locked_by_others(session: Session, instance: Instance, project_id: str) -> bool:
    """Return whether ``instance`` is locked, and not by the side that asks: its own project, or all others."""
    if not instance.is_locked:
        return False
    locked = actions.last(session, instance.uuid, "lock")
    by_owner = locked is None or locked.project_id == instance.project_id
    return by_owner != (instance.project_id == project_id)


def set_state(session: Session, uuid: str, vm_state: VmState, requester: Requester) -> None:
    """Set a server's state by hand and end what is done to it; its guest's power is looked at anew.

    Raises Conflict while work is under way that holds more than the server's guest, which ends by itself, and while the
    server may yet go back to where it was before a move.
    """
    instance = instances.lock(session, uuid)
    # What is done above the cell has no workflow here, and may just have claimed a host.
    is_being_placed = instance.task_state is TaskState.UNSHELVING
    at_work = is_being_placed or bool(workflows.subjects_at_work(session, CellWorkflowRow, [uuid]))
    if at_work and instance.task_state not in RESETTABLE:
        raise errors.Conflict(f"Cannot 'reset_state' instance {uuid} while it is in task_state {instance.task_state}")
    if migrations.open_of(session, uuid):
        raise errors.Conflict(f"Cannot 'reset_state' instance {uuid}: confirm or revert its move first.")
    if instance.host is None and vm_state is VmState.ACTIVE:
        raise errors.Conflict(f"Instance {uuid} is on no host and cannot be active.")
    workflows.supersede(session, CellWorkflowRow, uuid)
    actions.interrupt(session, uuid, by="resetState")
    values: dict[str, Any] = {"vm_state": vm_state, "task_state": None, "power_state": PowerState.NOSTATE}
    if vm_state is VmState.ERROR:
        instances.set_fault(session, uuid, Fault(500, _SET_BY_HAND, utcnow()), **values)
    else:
        instances.change(session, uuid, fault=None, **values)
    _record(session, instance, "resetState", requester, event=None)


def note(session: Session, uuid: str, action: str, requester: Requester, *, event: str, error: str | None) -> None:
    """Record what was done at a server's host with nothing to write down but that, and how it ended."""
    instance = instances.get(session, uuid)
    _record(session, instance, action, requester, event=event, error=error)


def _record(
    session: Session,
    instance: Instance,
    action: str,
    requester: Requester,
    *,
    event: str | None,
    error: str | None = None,
) -> None:
    actions.begin(
        session,
        instance_uuid=instance.uuid,
        action=action,
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=event,
    )
    actions.finish(
        session, instance_uuid=instance.uuid, request_id=requester.request_id, error=error, host=instance.host
    )
