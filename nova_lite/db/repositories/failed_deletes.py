"""Servers whose deletion failed for good: their cells still have them, though the API database counts them no more."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Status


def in_cell(session: Session, uuids: Sequence[str] | None = None) -> list[str]:
    """Return the servers of a cell, or those of ``uuids``, that a failed deletion left behind and nothing works on."""
    statement = (
        sa.select(CellWorkflowRow.subject)
        .join(InstanceRow, InstanceRow.uuid == CellWorkflowRow.subject)
        .where(
            CellWorkflowRow.status == Status.FAILED,
            CellWorkflowRow.kind.in_(("delete", "delete-softly")),
            InstanceRow.deleted.is_(False),
            InstanceRow.vm_state != VmState.SOFT_DELETED,  # a later one did better
            InstanceRow.task_state.is_(None),
        )
        .distinct()
    )
    if uuids is not None:
        statement = statement.where(CellWorkflowRow.subject.in_(uuids))
    return list(session.scalars(statement))


def uncounted(session: Session, uuids: Sequence[str], *, for_update: bool = False) -> list[str]:
    """Return those of ``uuids`` that the API database does not count; ``for_update`` keeps it so for now."""
    statement = sa.select(InstanceMappingRow.instance_uuid).where(
        InstanceMappingRow.instance_uuid.in_(uuids), InstanceMappingRow.queued_for_delete
    )
    return list(session.scalars(statement.with_for_update() if for_update else statement))


def count_again(session: Session, uuid: str) -> None:
    """Count a server that its project still has."""
    session.execute(
        sa.update(InstanceMappingRow).where(InstanceMappingRow.instance_uuid == uuid).values(queued_for_delete=False)
    )
