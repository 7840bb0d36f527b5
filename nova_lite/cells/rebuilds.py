"""What a rebuild writes down in its server's cell: begun, handed to the cell's conductor, given up.

One transaction of the cell's database each; each may be run twice. With the image it has a server is rebuilt by its
cell alone. Another image has to be checked by the scheduler first, which nobody in a cell asks: a workflow above the
cells leads that, and the cell's own has a UUID made from it.
"""

import uuid as uuids
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.model.plain import known
from nova_lite.model.states import ACTIONS, TaskState
from nova_lite.model.workflow import OPEN, Workflow

#: The kinds of the workflows of rebuilds, above the cells and in them; by the second a volume that is booted from is
#: filled with the image, too.
REBUILD, REIMAGE = "rebuild", "reimage"


@known
@dataclass(frozen=True, slots=True)
class Rebuild:
    """What a server is to be like: its image, and columns to set beside; nothing changes before its disks do.

    ``image_gib`` is how large the image is, in GiB, where a volume is filled with it.
    """

    image_id: str
    image_properties: dict[str, str] = field(default_factory=dict)
    image_disk_format: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    preserves_ephemeral: bool = False
    image_gib: int = 0


def begin(session: Session, uuid: str, rebuild: Rebuild, requester: Requester, *, timeout_s: float) -> Workflow:
    """Begin to rebuild a server with the image it has, and return the recorded workflow.

    Raises NotFound when it is gone, Conflict when its state forbids it or the image is not its own (any more).
    """
    instance = instances.lock(session, uuid)
    if not instance.boots_from_volume and instance.image_id != rebuild.image_id:
        raise errors.Conflict(f"Instance {uuid} was rebuilt with another image meanwhile.")
    inputs = {"rebuild": msgspec.to_builtins(rebuild), "vm_state": _vm_state(session, uuid)}
    return operations.begin(session, uuid, REBUILD, requester, timeout_s=timeout_s, inputs=inputs)


def begin_check(session: Session, uuid: str, requester: Requester) -> None:
    """Begin to rebuild a server with another image: it is busy with that until it is handed over or given up.

    Raises NotFound when it is gone, Conflict when its state forbids it.
    """
    if actions.is_known(session, uuid, requester.request_id, REBUILD):
        return
    operations.refuse_if_wrong_state(instances.lock(session, uuid), REBUILD)
    instances.change(session, uuid, expect_task=None, task_state=ACTIONS[REBUILD].while_busy)
    actions.begin(
        session,
        instance_uuid=uuid,
        action=REBUILD,
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=operations.EVENTS[REBUILD],
    )


def is_waiting(session: Session, workflow: Workflow) -> bool:
    """Return whether a server waits for the word of ``workflow``, above the cells; a delete may have come between."""
    try:
        instance = instances.lock(session, workflow.subject)
    except errors.NotFound:
        return False
    return instance.task_state is TaskState.REBUILDING and actions.is_under_way(
        session, workflow.subject, workflow.request_id, REBUILD
    )


def hand_over(session: Session, workflow: Workflow, *, timeout_s: float) -> str | None:
    """Record the cell's part of a rebuild, and return its UUID; None when the server is being deleted."""
    uuid = workflow_uuid(workflow.uuid)
    if workflows.get(session, CellWorkflowRow, uuid) is not None:
        return uuid
    if not is_waiting(session, workflow):
        return None
    part = Workflow.asked_by(
        workflow,
        workflow.kind,
        workflow.subject,
        {"rebuild": workflow.inputs["rebuild"], "vm_state": _vm_state(session, workflow.subject)},
        uuid=uuid,
    )
    workflows.add(session, CellWorkflowRow, part, timeout_s=timeout_s)
    return uuid


def hasten_reimage(session: Session, uuid: str) -> list[str]:
    """Have those be taken up at once who wait until a volume of a server is filled; return their UUIDs."""
    waiting = [
        each.uuid
        for each in workflows.about(session, CellWorkflowRow, uuid)
        if each.kind == REIMAGE and each.status in OPEN
    ]
    for each in waiting:
        workflows.hasten(session, CellWorkflowRow, each)
    return waiting


def give_up(session: Session, workflow: Workflow, reason: str) -> None:
    """End a rebuild that was not handed over: the server is what it was, and its action says why."""
    if workflows.get(session, CellWorkflowRow, workflow_uuid(workflow.uuid)) is not None:
        return
    if is_waiting(session, workflow):
        instances.change(session, workflow.subject, task_state=None)
        host = instances.get(session, workflow.subject).host
        actions.finish_work(session, workflow, error=reason, host=host)


def is_under_way(session: Session, workflow: Workflow) -> bool:
    """Return whether the cell is still at work on its part of ``workflow``."""
    found = workflows.get(session, CellWorkflowRow, workflow_uuid(workflow.uuid))
    return found is not None and found.status in OPEN


def workflow_uuid(above: str) -> str:
    """Return the UUID of the cell's part of the workflow ``above``: always the same, so that there is but one."""
    return str(uuids.uuid5(uuids.UUID(above), REBUILD))


def _vm_state(session: Session, uuid: str) -> str:
    """Return what a server is as its rebuild begins, which decides whether it runs afterwards."""
    return instances.get(session, uuid).vm_state
