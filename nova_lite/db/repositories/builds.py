"""Builds under way in a cell: which hosts they may still come to, and who may take one of those away.

A build is told its hosts when it begins (input ``selections``). Until its first host fails, those above the cell may
take alternates back: whoever does holds the instance, and so does the build when it turns to its alternates.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.db.repositories import instances
from nova_lite.errors import NotFound
from nova_lite.model.states import RESETTABLE, TaskState, VmState
from nova_lite.model.workflow import OPEN

KIND = "create"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a server is; ``spares`` are the hosts it may yet be moved to while it is built, None once that is over."""

    host: str | None
    spares: tuple[str, ...] | None


def selections(session: Session, workflow_uuid: str) -> list[dict[str, Any]]:
    """Return the hosts of a build, the chosen one first, as they are now; its caller holds the instance."""
    inputs = session.scalars(sa.select(CellWorkflowRow.inputs).filter_by(uuid=workflow_uuid)).one()
    found: list[dict[str, Any]] = inputs["selections"]
    return found


def take_back(session: Session, instance_uuid: str, hosts: Collection[str]) -> bool:
    """Let the build of a server not come to ``hosts`` any more.

    False when the server may be on its way there or has come there, or when its build has not begun, so that there is
    nothing to change.
    """
    try:
        instance = instances.lock(session, instance_uuid)
    except NotFound:
        return True
    row = session.scalar(_open_builds([instance_uuid]))
    if row is None:
        has_not_come = _is_settled(instance.vm_state, instance.task_state) and instance.host not in hosts
        return instance.task_state is TaskState.DELETING or has_not_come
    if row.facts.get("failed"):
        return False
    chosen, *others = row.inputs["selections"]
    row.inputs = {**row.inputs, "selections": [chosen, *(each for each in others if each["host"] not in hosts)]}
    session.flush()
    return True


def whereabouts(session: Session, instance_uuids: Sequence[str]) -> dict[str, Whereabouts]:
    """Return where servers are that were handed to this cell; those whose build has not begun are missing.

    So are those that are being moved: where they end is not known.
    """
    # The builds first: of one that ends meanwhile too much is believed then, not too little.
    at_work = {row.subject: row for row in session.scalars(_open_builds(instance_uuids))}
    found: dict[str, Whereabouts] = {}
    rows = session.execute(
        sa.select(InstanceRow.uuid, InstanceRow.host, InstanceRow.vm_state, InstanceRow.task_state).where(
            InstanceRow.uuid.in_(instance_uuids), InstanceRow.deleted.is_(False)
        )
    )
    for uuid, host, vm_state, task_state in rows:
        if uuid in at_work:
            found[uuid] = Whereabouts(host, tuple(_left(at_work[uuid].inputs, at_work[uuid].facts, besides=host)))
        elif _is_settled(vm_state, task_state):
            found[uuid] = Whereabouts(host, None)
    return found


def _is_settled(vm_state: str, task_state: str | None) -> bool:
    """Return whether a server of which no build is open stays where it is."""
    is_moved = task_state is not None and task_state not in RESETTABLE
    return vm_state not in (VmState.BUILDING, VmState.RESIZED) and not is_moved


def _open_builds(instance_uuids: Sequence[str]) -> sa.Select[CellWorkflowRow]:
    return sa.select(CellWorkflowRow).where(
        CellWorkflowRow.subject.in_(instance_uuids), CellWorkflowRow.kind == KIND, CellWorkflowRow.status.in_(OPEN)
    )


def _left(inputs: Mapping[str, Any], facts: Mapping[str, Any], *, besides: str | None) -> Iterable[str]:
    """Return the hosts of a build that it has not come to."""
    tried = {besides, *(each["host"] for each in facts.get("failed", []))}
    return (each["host"] for each in inputs["selections"] if each["host"] not in tried)
