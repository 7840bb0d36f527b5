"""What a server's move writes down in its cell: begun, handed to the cell's conductor, confirmed, reverted, given up.

One transaction of the cell's database each; each may be run twice. A move has one UUID everywhere: that of the workflow
above the cells that leads it, of its row among the migrations, and in Placement that of who holds what the server had
before. The cell's own workflows of a move have UUIDs made from it. See ``docs/decisions/0012-moves.rst``.
"""

import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations, workflows
from nova_lite.model import states
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.migration import CONFIRMING, FINISHED, OVER, Migration, MigrationKind, Place
from nova_lite.model.plain import known
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import ACTIONS, TaskState
from nova_lite.model.workflow import OPEN, Workflow

#: The kinds of the workflows of moves, above the cells and in them.
MOVE, CONFIRM, REVERT, LIVE = "move", "confirm-resize", "revert-resize", "live-migrate"
EVACUATE = "evacuate"
KINDS = (MOVE, CONFIRM, REVERT, LIVE, EVACUATE)
#: What a server is busy with that waits for a host.
_WAITING = (ACTIONS["resize"].while_busy, ACTIONS[LIVE].while_busy, ACTIONS["rebuild"].while_busy)


@known
@dataclass(frozen=True, slots=True)
class Before:
    """What a server was like before it moved, for its way back."""

    host: str
    node: str
    node_name: str
    availability_zone: str | None
    epoch: int
    vm_state: str
    flavor: Flavor

    @property
    def place(self) -> Place:
        return Place(self.host, self.node, self.node_name)


def before(instance: Instance) -> Before:
    """Return what a server is like, that is to move."""
    return Before(
        host=instance.host or "",
        node=instance.node or "",
        node_name=instance.node_name or "",
        availability_zone=instance.availability_zone,
        epoch=instance.epoch,
        vm_state=instance.vm_state,
        flavor=instance.flavor,
    )


def refuse_if_wrong_state(instance: Instance, kind: str, shown: str) -> None:
    """Raise Conflict when the instance's state forbids a workflow of ``kind``, which users know as ``shown``."""
    attribute = states.refusal("resize" if kind == MOVE else kind, instance.vm_state, instance.task_state)
    if attribute is not None:
        value = instance.vm_state if attribute == "vm_state" else instance.task_state
        raise errors.Conflict(f"Cannot '{shown}' instance {instance.uuid} while it is in {attribute} {value}")


def begin(  # noqa: PLR0913 - what a move begins with
    session: Session,
    uuid: str,
    move: str,
    requester: Requester,
    new_flavor: Flavor,
    *,
    is_resize: bool,
    flavor_numbers: Sequence[int | None] = (None, None),
    disk_config: str | None = None,
) -> None:
    """Begin a move: from here on the server is busy with it, until it is handed over or given up.

    ``flavor_numbers`` are those of the old and the new flavor in the API database. ``disk_config``, if any, is the
    server's from now on, whatever becomes of the move.

    Raises NotFound when the instance is gone, Conflict when its state forbids it or it is on no host.
    """
    if migrations.get(session, move) is not None:
        return
    instance = instances.lock(session, uuid)
    shown = "resize" if is_resize else "migrate"
    refuse_if_wrong_state(instance, MOVE, shown)
    if instance.host is None or instance.node is None:
        raise errors.Conflict(f"Instance {uuid} is not ready: it has no host.")
    values = {} if disk_config is None else {"disk_config": disk_config}
    instances.change(session, uuid, expect_task=None, task_state=ACTIONS["resize"].while_busy, **values)
    migrations.add(
        session,
        Migration(
            uuid=move,
            instance_uuid=uuid,
            kind=MigrationKind.RESIZE if is_resize else MigrationKind.COLD,
            status="pre-migrating",
            user_id=requester.user_id,
            project_id=requester.project_id,
            source=Place(instance.host, instance.node, instance.node_name or ""),
            old_flavor=instance.flavor,
            new_flavor=new_flavor,
            created_at=utcnow(),
            old_flavor_number=flavor_numbers[0],
            new_flavor_number=flavor_numbers[1],
        ),
    )
    begin_action(session, uuid, shown, operations.EVENTS["resize"], requester)


def is_waiting(session: Session, uuid: str, move: str) -> bool:
    """Return whether a server waits for a move that was begun to be handed over; a delete may have come between."""
    migration = migrations.get(session, move)
    if migration is None or migration.status in OVER:
        return False
    try:
        instance = instances.lock(session, uuid)
    except errors.NotFound:
        return False
    return instance.task_state in _WAITING


def hand_over(
    session: Session, workflow: Workflow, selections: list[Selection], explanation: object, *, timeout_s: float
) -> str | None:
    """Record the cell's part of a move, and return its UUID; None when the server is being deleted.

    ``workflow`` is the one above the cells, ``selections`` the chosen host and alternates.
    """
    uuid = workflow_uuid(workflow.uuid, MOVE)
    if workflows.get(session, CellWorkflowRow, uuid) is not None:
        return uuid
    if not is_waiting(session, workflow.subject, workflow.uuid):
        return None
    instance = instances.get(session, workflow.subject)
    inputs = {
        "move": workflow.uuid,
        "before": msgspec.to_builtins(before(instance)),
        "flavor": workflow.inputs["flavor"],
        "selections": msgspec.to_builtins(selections),
        "explanation": explanation,
        "has_volumes": bool(instance.volumes),
        "boots_from_volume": instance.boots_from_volume,
    }
    migrations.bring_to(session, workflow.uuid, "pre-migrating", dest=place(selections[0]))
    add(session, workflow, MOVE, workflow.uuid, inputs, timeout_s=timeout_s)
    return uuid


def begin_end(session: Session, workflow: Workflow, *, timeout_s: float) -> str | None:
    """Begin to confirm or revert (the kind of ``workflow``) a server's move; return the UUID of the cell's part.

    None when the server is gone or being deleted. Raises Conflict when it does not wait for that.
    """
    kind, uuid = workflow.kind, workflow.subject
    done = workflows.get(session, CellWorkflowRow, workflow_uuid(workflow.uuid, kind))
    if done is not None:
        return done.uuid
    try:
        instance = instances.lock(session, uuid)
    except errors.NotFound:
        return None
    if instance.task_state is TaskState.DELETING:
        return None
    shown = operations.shown(kind)
    refuse_if_wrong_state(instance, kind, shown)
    migration = next((each for each in migrations.open_of(session, uuid) if each.status == FINISHED), None)
    if migration is None:
        raise errors.Conflict(f"Cannot '{shown}' instance {uuid}: no migration of it waits for that.")
    moved = workflows.get(session, CellWorkflowRow, workflow_uuid(migration.uuid, MOVE))
    if moved is None:
        raise errors.Conflict(f"Cannot '{shown}' instance {uuid}: how it was moved is not known any more.")
    instances.change(session, uuid, expect_task=None, task_state=ACTIONS[kind].while_busy)
    migrations.bring_to(session, migration.uuid, CONFIRMING if kind == CONFIRM else "reverting")
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    begin_action(session, uuid, shown, operations.EVENTS[kind], requester)
    inputs = {
        "move": migration.uuid,
        "before": moved.inputs["before"],
        "has_volumes": bool(instance.volumes),
    }
    add(session, workflow, kind, workflow.uuid, inputs, timeout_s=timeout_s)
    return workflow_uuid(workflow.uuid, kind)


def give_up(session: Session, workflow: Workflow, reason: str) -> None:
    """End a move that was not handed over: the server is what it was, and its action says why."""
    migration = migrations.get(session, workflow.uuid)
    if migration is None or migration.status in OVER:
        return
    migrations.bring_to(session, workflow.uuid, "error")
    try:
        instance = instances.lock(session, workflow.subject)
    except errors.NotFound:
        return
    if instance.task_state in _WAITING:
        instances.change(session, workflow.subject, task_state=None)
        actions.finish_work(session, workflow, error=reason, host=instance.host)


def is_under_way(session: Session, move: str, kind: str) -> bool:
    """Return whether the cell is still at work on its part of a move."""
    found = workflows.get(session, CellWorkflowRow, workflow_uuid(move, kind))
    return found is not None and found.status in OPEN


def workflow_uuid(above: str, kind: str) -> str:
    """Return the UUID of the cell's part of the workflow ``above``: always the same, so that there is but one."""
    return str(uuids.uuid5(uuids.UUID(above), kind))


def place(selection: Selection) -> Place:
    """Return where a selection is."""
    return Place(selection.host, selection.node, selection.node_name)


def begin_action(session: Session, uuid: str, action: str, event: str | None, requester: Requester) -> None:
    """Record that something is being done to a server."""
    actions.begin(
        session,
        instance_uuid=uuid,
        action=action,
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=event,
    )


def add(
    session: Session, above: Workflow, kind: str, uuid: str, inputs: Mapping[str, object], *, timeout_s: float
) -> None:
    """Record the cell's part, of ``kind``, of a move that the workflow ``above`` leads; ``uuid`` is that one's."""
    workflow = Workflow.asked_by(above, kind, above.subject, inputs, uuid=workflow_uuid(uuid, kind))
    workflows.add(session, CellWorkflowRow, workflow, timeout_s=timeout_s)
