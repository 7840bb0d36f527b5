"""What shelving a server, offloading it and taking it off the shelf write down in its cell.

One transaction of the cell's database each; each may be run twice. All three are led by a workflow above the cells, for
only there servers' places in groups are known; the cell's own workflow has a UUID made from that one.
"""

import uuid as uuids
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import ACTIONS, TaskState, VmState
from nova_lite.model.workflow import OPEN, Status, Workflow

#: The kinds of the workflows above the cells. In them, a server that is still on its host is started there.
SHELVE, OFFLOAD, UNSHELVE, UNSHELVE_HERE = "shelve", "shelve-offload", "unshelve", "unshelve-here"
KINDS = (SHELVE, OFFLOAD, UNSHELVE)
#: What a server that waits for a host is shown to be doing.
_CHOOSING = "schedule_instances"


def begin(session: Session, above: Workflow, *, timeout_s: float) -> str:
    """Begin to shelve or offload a server (the kind of ``above``); return the UUID of the cell's part.

    Raises NotFound when the instance is gone, Conflict when its state forbids it or it is on no host.
    """
    uuid = _cell_uuid(above)
    if workflows.get(session, CellWorkflowRow, uuid) is not None:
        return uuid
    instance = instances.lock(session, above.subject)
    operations.refuse_if_wrong_state(instance, above.kind)
    if instance.host is None:
        raise errors.Conflict(f"Instance {instance.uuid} is not ready: it has no host.")
    instances.change(session, instance.uuid, expect_task=None, task_state=ACTIONS[above.kind].while_busy)
    _begin_action(session, above, operations.EVENTS[above.kind])
    inputs = {"image": above.inputs["image"]} if above.kind == SHELVE else {}
    _add(session, above, above.kind, inputs, timeout_s=timeout_s)
    return uuid


def begin_unshelving(session: Session, above: Workflow) -> None:
    """Begin to take a server off the shelf: from here on it is busy with that, until it is handed over or given up.

    Raises NotFound when the instance is gone, Conflict when its state forbids it.
    """
    if _is_begun(session, above):
        return
    instance = instances.lock(session, above.subject)
    operations.refuse_if_wrong_state(instance, UNSHELVE)
    if above.inputs["host"] is not None or above.inputs["pin"] is not None:
        refuse_if_on_host(instance)
    instances.change(session, instance.uuid, expect_task=None, task_state=ACTIONS[UNSHELVE].while_busy)
    _begin_action(session, above, "compute_start_instance" if instance.vm_state is VmState.SHELVED else _CHOOSING)


def refuse_if_on_host(instance: Instance) -> None:
    """Raise Conflict unless a place can be asked for: a server that is still on its host stays there."""
    if instance.vm_state is not VmState.SHELVED_OFFLOADED:
        raise errors.Conflict(
            f"An availability zone or a host cannot be asked for when server {instance.uuid} is unshelved while its"
            f" status is {instance.vm_state}: it must be SHELVED_OFFLOADED."
        )


def waiting(session: Session, above: Workflow) -> Instance | None:
    """Return the server if it still waits to be handed over by ``above``; a delete may have come between."""
    try:
        instance = instances.lock(session, above.subject)
    except errors.NotFound:
        return None
    is_ours = instance.task_state is TaskState.UNSHELVING and _is_begun(session, above)
    return instance if is_ours else None


def found(session: Session, uuid: str) -> Instance | None:
    """Return a server, None when it is gone."""
    try:
        return instances.get(session, uuid)
    except errors.NotFound:
        return None


def hand_over(
    session: Session, above: Workflow, selections: Sequence[Selection], explanation: object, *, timeout_s: float
) -> str | None:
    """Record the cell's part of taking a server off the shelf, and return its UUID; None when it is being deleted.

    ``selections`` are the chosen host and alternates; none when the server is still on its own.
    """
    uuid = _cell_uuid(above)
    if workflows.get(session, CellWorkflowRow, uuid) is not None:
        return uuid
    instance = waiting(session, above)
    if instance is None:
        return None
    if selections:
        chosen = selections[0]
        instances.change(
            session,
            instance.uuid,
            task_state=TaskState.SPAWNING,
            epoch=instance.epoch + 1,
            availability_zone=chosen.availability_zone,
            scheduling=explanation,
            **instances.on(chosen.host, chosen.node, chosen.node_name),
        )
        event = operations.EVENTS[UNSHELVE]
        actions.next_event(
            session, instance_uuid=instance.uuid, request_id=above.request_id, event=event, host=chosen.host
        )
    else:
        instances.change(session, instance.uuid, task_state=TaskState.POWERING_ON)
    inputs = {
        "selections": msgspec.to_builtins(selections),
        "image": instance.shelved_image,
        "pin": above.inputs["pin"],
        "has_volumes": bool(instance.volumes),
    }
    _add(session, above, UNSHELVE if selections else UNSHELVE_HERE, inputs, timeout_s=timeout_s)
    return uuid


def give_up(session: Session, above: Workflow, reason: str) -> None:
    """End an unshelving that was not handed over: the server is what it was, and its action says why."""
    instance = waiting(session, above)
    if instance is not None:
        instances.change(session, instance.uuid, task_state=None)
        actions.finish(
            session,
            instance_uuid=instance.uuid,
            request_id=above.request_id,
            error=reason,
            host=instance.host,
            traceback=above.traceback,
        )


def is_under_way(session: Session, above: Workflow) -> bool:
    """Return whether the cell is still at work on its part of ``above``."""
    part = workflows.get(session, CellWorkflowRow, _cell_uuid(above))
    return part is not None and part.status in OPEN


def is_done(session: Session, above: Workflow) -> bool:
    """Return whether the cell has done its part of ``above``."""
    part = workflows.get(session, CellWorkflowRow, _cell_uuid(above))
    return part is not None and part.status is Status.DONE


def has_begun(session: Session, above: Workflow) -> bool:
    """Return whether the cell has taken its part of ``above``."""
    return workflows.get(session, CellWorkflowRow, _cell_uuid(above)) is not None


def _is_begun(session: Session, above: Workflow) -> bool:
    return actions.is_known(session, above.subject, above.request_id, UNSHELVE)


def _cell_uuid(above: Workflow) -> str:
    """Return the UUID of the cell's part of the workflow ``above``: always the same, so that there is but one."""
    return str(uuids.uuid5(uuids.UUID(above.uuid), above.kind))


def _begin_action(session: Session, above: Workflow, event: str) -> None:
    actions.begin(
        session,
        instance_uuid=above.subject,
        action=operations.shown(above.kind),
        request_id=above.request_id,
        user_id=above.user_id,
        project_id=above.project_id,
        event=event,
    )


def _add(session: Session, above: Workflow, kind: str, inputs: Mapping[str, object], *, timeout_s: float) -> None:
    part = Workflow.asked_by(above, kind, above.subject, inputs, uuid=_cell_uuid(above))
    workflows.add(session, CellWorkflowRow, part, timeout_s=timeout_s)
