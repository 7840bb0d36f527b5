"""Who may hold something in Placement: what the API database and a cell's say of consumers' UUIDs."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import ApiWorkflowRow, InstanceMappingRow
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.model.workflow import OPEN


def mapped(session: Session, uuids: Sequence[str]) -> dict[str, str | None]:
    """Return instance UUID → cell UUID (None: no cell yet) of those of ``uuids`` that the API database knows."""
    rows = session.execute(
        sa.select(InstanceMappingRow.instance_uuid, InstanceMappingRow.cell_uuid).where(
            InstanceMappingRow.instance_uuid.in_(uuids)
        )
    )
    return dict(rows.all())


def at_work(session: Session, row: type[ApiWorkflowRow] | type[CellWorkflowRow], uuids: Sequence[str]) -> set[str]:
    """Return those of ``uuids`` that a workflow of this database is about and has not finished with."""
    return set(session.scalars(sa.select(row.subject).where(row.subject.in_(uuids), row.status.in_(OPEN))))


def living(session: Session, uuids: Sequence[str]) -> set[str]:
    """Return those of ``uuids`` that are live instances of this cell."""
    return set(
        session.scalars(sa.select(InstanceRow.uuid).where(InstanceRow.uuid.in_(uuids), InstanceRow.deleted.is_(False)))
    )
