"""What a live migration writes down in its server's cell: begun, handed to the cell's conductor, aborted, hurried.

One transaction of the cell's database each. Its UUID is that of the workflow above the cells, of its row among the
migrations, and of who holds in Placement what the server had; see ``moves.py``.
"""

from dataclasses import replace
from typing import Literal

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves, operations
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations, workflows
from nova_lite.model.instance import Instance
from nova_lite.model.migration import Migration, MigrationKind, Place
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import ACTIONS, TaskState, VmState
from nova_lite.model.workflow import Workflow

#: What may be asked of a live migration → its name among the server's actions, and the event under it.
_WISHES = {
    "abort": ("live_migration_cancel", "compute_live_migration_abort"),
    "hurry": ("live_migration_force_complete", "compute_live_migration_force_complete"),
}
Wish = Literal["abort", "hurry"]


def begin(session: Session, uuid: str, move: str, requester: Requester) -> None:
    """Begin a live migration: from here on the server is busy with it, until it ends.

    Raises NotFound when the instance is gone, Conflict when its state forbids it or it is on no host.
    """
    if migrations.get(session, move) is not None:
        return
    instance = instances.lock(session, uuid)
    moves.refuse_if_wrong_state(instance, moves.LIVE, "os-migrateLive")
    if instance.host is None or instance.node is None:
        raise errors.Conflict(f"Instance {uuid} is not ready: it has no host.")
    instances.change(session, uuid, expect_task=None, task_state=ACTIONS[moves.LIVE].while_busy)
    migrations.add(
        session,
        Migration(
            uuid=move,
            instance_uuid=uuid,
            kind=MigrationKind.LIVE,
            status="accepted",
            user_id=requester.user_id,
            project_id=requester.project_id,
            source=Place(instance.host, instance.node, instance.node_name or ""),
            old_flavor=instance.flavor,
            new_flavor=instance.flavor,
            created_at=utcnow(),
        ),
    )
    moves.begin_action(session, uuid, operations.shown(moves.LIVE), operations.EVENTS[moves.LIVE], requester)


def hand_over(
    session: Session, workflow: Workflow, selections: list[Selection], explanation: object, *, timeout_s: float
) -> str | None:
    """Record the cell's part of a live migration, and return its UUID; None when the server is being deleted.

    ``workflow`` is the one above the cells, ``selections`` the chosen host and alternates.
    """
    uuid = moves.workflow_uuid(workflow.uuid, moves.LIVE)
    if workflows.get(session, CellWorkflowRow, uuid) is not None:
        return uuid
    if not moves.is_waiting(session, workflow.subject, workflow.uuid):
        return None
    instance = instances.get(session, workflow.subject)
    inputs = {
        "move": workflow.uuid,
        "before": msgspec.to_builtins(moves.before(instance)),
        "selections": msgspec.to_builtins(selections),
        "explanation": explanation,
        "copies_disks": workflow.inputs["copies_disks"],
        "has_volumes": bool(instance.volumes),
    }
    migrations.bring_to(session, workflow.uuid, "accepted", dest=moves.place(selections[0]))
    moves.add(session, workflow, moves.LIVE, workflow.uuid, inputs, timeout_s=timeout_s)
    return uuid


def ask(session: Session, uuid: str, number: int, wish: Wish, requester: Requester) -> str | None:
    """Write down what is asked of a server's live migration; return the UUID of the cell's workflow that hears it.

    Raises NotFound when the server or the migration is not there, Conflict when it is not under way.
    """
    instance = instances.lock(session, uuid)
    refuse_wish(instance, wish)
    migration = migrations.numbered(session, uuid, number)
    if migration is None:
        raise errors.NotFound(f"Migration {number} not found for instance {uuid}")
    asked = migration.asked
    if getattr(asked, wish) is None:
        migrations.ask(session, migration.uuid, replace(asked, **{wish: requester.request_id}))
    action, event = _WISHES[wish]
    moves.begin_action(session, uuid, action, event, requester)
    hears = moves.workflow_uuid(migration.uuid, moves.LIVE)
    workflows.hasten(session, CellWorkflowRow, hears)
    return hears


def refuse_wish(instance: Instance, wish: Wish) -> None:
    """Raise Conflict when the instance is not being migrated live, or is paused, which cannot arrive any sooner."""
    shown = "abort live migration" if wish == "abort" else "force_complete"
    attribute, value = "task_state", str(instance.task_state)
    if wish == "hurry" and instance.vm_state is not VmState.ACTIVE:
        attribute, value = "vm_state", str(instance.vm_state)
    elif instance.task_state is TaskState.MIGRATING:
        return
    raise errors.Conflict(f"Cannot '{shown}' instance {instance.uuid} while it is in {attribute} {value}")


def end_wishes(session: Session, migration: Migration, *, host: str | None) -> None:
    """Record that what was asked of a live migration, which is over, has been heard."""
    for request_id in (migration.asked.abort, migration.asked.hurry):
        if request_id is not None:
            actions.finish(session, instance_uuid=migration.instance_uuid, request_id=request_id, error=None, host=host)
