"""What an evacuation writes down in its server's cell: begun, handed to the cell's conductor, ended on the old host.

One transaction of the cell's database each; each may be run twice. It is a move (``cells/moves.py``) whose old host
does not answer: there is no way to ask it, and what it knows it learns when it comes back. See
``docs/decisions/0015-evacuation.rst``.
"""

import uuid as uuids

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves, operations
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import evacuations, instances, migrations, workflows
from nova_lite.model import states
from nova_lite.model.instance import Instance
from nova_lite.model.migration import Migration, MigrationKind
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import ACTIONS
from nova_lite.model.workflow import Workflow

#: The kind of the workflow by which what a server had on its old host is free again.
COMPLETE = "complete-evacuation"
#: How far an evacuation raises the epoch of its server. A failed one gives the server its old epoch back, for nobody
#: can tell the guest on the silent host of a new one; nothing that happens there later reaches this far.
EPOCHS = 1000


def refuse_if_wrong_state(instance: Instance) -> None:
    """Raise Conflict when the instance's state forbids to evacuate it: it is rebuilt elsewhere."""
    attribute = states.refusal("rebuild", instance.vm_state, instance.task_state)
    if attribute is not None:
        value = instance.vm_state if attribute == "vm_state" else instance.task_state
        raise errors.Conflict(f"Cannot 'evacuate' instance {instance.uuid} while it is in {attribute} {value}")


def begin(session: Session, uuid: str, evacuation: str, requester: Requester) -> None:
    """Begin an evacuation: the server is busy with it until it is handed over or given up.

    Raises NotFound when the instance is gone, Conflict when its state forbids it or it is on no host.
    """
    if migrations.get(session, evacuation) is not None:
        return
    instance = instances.lock(session, uuid)
    refuse_if_wrong_state(instance)
    if instance.host is None or instance.node is None:
        raise errors.Conflict(f"Instance {uuid} is not ready: it has no host.")
    instances.change(session, uuid, expect_task=None, task_state=ACTIONS["rebuild"].while_busy)
    migrations.add(
        session,
        Migration(
            uuid=evacuation,
            instance_uuid=uuid,
            kind=MigrationKind.EVACUATION,
            status="accepted",
            user_id=requester.user_id,
            project_id=requester.project_id,
            source=moves.before(instance).place,
            old_flavor=instance.flavor,
            new_flavor=instance.flavor,
            created_at=utcnow(),
        ),
    )
    moves.begin_action(session, uuid, moves.EVACUATE, operations.EVENTS["rebuild"], requester)


def hand_over(
    session: Session, workflow: Workflow, selections: list[Selection], explanation: object, *, timeout_s: float
) -> str | None:
    """Record the cell's part of an evacuation, and return its UUID; None when the server is being deleted."""
    uuid = moves.workflow_uuid(workflow.uuid, moves.EVACUATE)
    if workflows.get(session, CellWorkflowRow, uuid) is not None:
        return uuid
    if not moves.is_waiting(session, workflow.subject, workflow.uuid):
        return None
    instance = instances.get(session, workflow.subject)
    inputs = {
        "move": workflow.uuid,
        "before": msgspec.to_builtins(moves.before(instance)),
        "epoch": instance.epoch + EPOCHS * (1 + evacuations.failed(session, workflow.subject)),
        "selections": msgspec.to_builtins(selections),
        "explanation": explanation,
        "stops": workflow.inputs["stops"],
        # Absent from work that an older API wrote down.
        "on_shared_storage": workflow.inputs.get("on_shared_storage"),
        "has_volumes": bool(instance.volumes),
    }
    migrations.bring_to(session, workflow.uuid, "pre-migrating", dest=moves.place(selections[0]))
    moves.add(session, workflow, moves.EVACUATE, workflow.uuid, inputs, timeout_s=timeout_s)
    return uuid


def clean(session: Session, host: str, instance_uuids: list[str], *, timeout_s: float) -> list[str]:
    """Begin to complete evacuations from ``host``, which has nothing of these servers; return the workflows' UUIDs."""
    begun = []
    for evacuation, instance_uuid in evacuations.left_on(session, host):
        uuid = str(uuids.uuid5(uuids.UUID(evacuation), COMPLETE))
        if instance_uuid in instance_uuids and workflows.get(session, CellWorkflowRow, uuid) is None:
            workflow = Workflow(
                uuid=uuid,
                kind=COMPLETE,
                subject=evacuation,
                project_id="",
                user_id="",
                request_id="",
                inputs={"host": host},
                deadline=0.0,
            )
            workflows.add(session, CellWorkflowRow, workflow, timeout_s=timeout_s)
            begun.append(uuid)
    return begun
