"""What a server's state being set by hand writes down in its cell: at once, or when what is done to it has ended.

An operator does that when something hangs. What touches a guest's power alone is cut short; all else may hold claims or
disks in two places, and is brought to its end first: ``conductor/spanning/reset_state.py`` sees to that.
"""

from typing import Any

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations, workflows
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.migration import FINISHED
from nova_lite.model.states import ALONGSIDE, RESETTABLE, TaskState, VmState
from nova_lite.model.workflow import Workflow

#: The kind of the workflow above the cells, and what it is called among a server's actions.
RESET, _SHOWN = "reset-state", "resetState"
_SET_BY_HAND = "An administrator set the state of the server."
#: What cannot be taken back: there may be no guest any more.
_GOING = (TaskState.DELETING, TaskState.SOFT_DELETING)
#: Work in a cell that is let come to its own end.
_SPARED = ("delete", "delete-softly", moves.CONFIRM)


def set_at_once(session: Session, uuid: str, vm_state: VmState, requester: Requester) -> bool:
    """Set a server's state, if nothing but its guest's power is in anybody's hands; False when more is.

    Raises NotFound when it is gone, Conflict when it is on no host and cannot be active.
    """
    instance = instances.lock(session, uuid)
    if _is_held(session, instance):
        return False
    _refuse_nowhere(instance, vm_state)
    actions.interrupt(session, uuid, by=_SHOWN)
    moves.begin_action(session, uuid, _SHOWN, None, requester)
    actions.finish(session, instance_uuid=uuid, request_id=requester.request_id, error=None, host=instance.host)
    _set(session, instance, vm_state)
    return True


def begin(session: Session, workflow: Workflow) -> None:
    """Record that a server's state is being set by ``workflow``; raises Conflict for one that is being deleted."""
    if actions.is_known(session, workflow.subject, workflow.request_id, _SHOWN):
        return
    instance = instances.lock(session, workflow.subject)
    if instance.task_state in _GOING:
        raise errors.Conflict(
            f"Cannot 'reset_state' instance {instance.uuid} while it is in task_state {instance.task_state}"
        )
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    moves.begin_action(session, workflow.subject, _SHOWN, "conductor_reset_state", requester)


def end_work(session: Session, uuid: str) -> list[str]:
    """End the time of what is done to a server in its cell; return the workflows that are to notice."""
    return workflows.expire(session, CellWorkflowRow, uuid, spare=_SPARED)


def waits_to_be_confirmed(session: Session, uuid: str) -> bool:
    """Return whether a server has moved, and nobody has confirmed that yet."""
    return any(move.status == FINISHED for move in migrations.open_of(session, uuid))


def set_when_quiet(session: Session, workflow: Workflow, vm_state: VmState, *, may_wait: bool) -> None:
    """Set a server's state on behalf of ``workflow``; nothing when it is gone, or going, or that is done.

    Its action tells what is against that. Raises NotYet while anybody is at work on it, as long as it ``may_wait``.
    """
    begin_late(session, workflow)
    if not actions.is_under_way(session, workflow.subject, workflow.request_id, _SHOWN):
        return
    instance = instances.lock(session, workflow.subject)
    if _is_held(session, instance):
        if may_wait:
            raise errors.NotYet("What is done to the server has not ended.")
        end(session, workflow, "What is done to the server did not end in time.")
        return
    try:
        _refuse_nowhere(instance, vm_state)
    except errors.Conflict as exc:
        end(session, workflow, exc.message)
        return
    end(session, workflow, None)
    actions.interrupt(session, instance.uuid, by=_SHOWN)
    _set(session, instance, vm_state)


def begin_late(session: Session, workflow: Workflow) -> None:
    """Record it as ``begin`` does, where whoever accepted it could not; a server that is going takes no more of it."""
    try:
        begin(session, workflow)
    except (errors.NotFound, errors.Conflict):
        return


def end(session: Session, workflow: Workflow, error: str | None) -> None:
    """Record how setting the state ended."""
    try:
        host = instances.get(session, workflow.subject).host
    except errors.NotFound:
        return
    actions.finish_work(session, workflow, error=error, host=host)


def _is_held(session: Session, instance: Instance) -> bool:
    """Return whether work is under way that holds more than a guest's power, or a move may yet be taken back."""
    at_work = bool(workflows.subjects_at_work(session, CellWorkflowRow, [instance.uuid]))
    if at_work and instance.task_state not in RESETTABLE:
        return True
    return bool(migrations.open_of(session, instance.uuid))


def _refuse_nowhere(instance: Instance, vm_state: VmState) -> None:
    if instance.host is None and vm_state is VmState.ACTIVE:
        raise errors.Conflict(f"Instance {instance.uuid} is on no host and cannot be active.")


def _set(session: Session, instance: Instance, vm_state: VmState) -> None:
    """Set the state and end what is done to the server; its guest's power is looked at anew."""
    workflows.supersede(session, CellWorkflowRow, instance.uuid, spare=ALONGSIDE)
    values: dict[str, Any] = {"vm_state": vm_state, "task_state": None, "power_state": PowerState.NOSTATE}
    if vm_state is VmState.ERROR:
        instances.set_fault(session, instance.uuid, Fault(500, _SET_BY_HAND, utcnow()), **values)
    else:
        instances.change(session, instance.uuid, fault=None, **values)
