"""Host aggregates, in the API database. Which hosts are in which availability zone is ``zones.py``'s."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow
from nova_lite.errors import NotFound


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Hosts grouped by an operator; with ``availability_zone`` in its metadata it is a zone."""

    id: int
    uuid: str
    name: str
    metadata: dict[str, str]
    hosts: tuple[str, ...]
    created_at: datetime
    updated_at: datetime | None

    @property
    def availability_zone(self) -> str | None:
        return self.metadata.get("availability_zone")


def all_of_them(session: Session) -> list[Aggregate]:
    """Return every aggregate by age; two queries, however many there are."""
    return _aggregates(session, sa.select(AggregateRow).order_by(AggregateRow.id))


def get(session: Session, aggregate_id: int) -> Aggregate:
    """Return one aggregate; raises NotFound."""
    found = _aggregates(session, sa.select(AggregateRow).where(AggregateRow.id == aggregate_id))
    if not found:
        raise NotFound(f"Aggregate {aggregate_id} could not be found.")
    return found[0]


def _aggregates(session: Session, statement: sa.Select[AggregateRow]) -> list[Aggregate]:
    rows = list(session.scalars(statement))
    members: dict[int, list[str]] = {}
    for aggregate_id, host in session.execute(
        sa.select(AggregateHostRow.aggregate_id, AggregateHostRow.host)
        .where(AggregateHostRow.aggregate_id.in_([row.id for row in rows]))
        .order_by(AggregateHostRow.host)
    ):
        members.setdefault(aggregate_id, []).append(host)
    return [
        Aggregate(
            id=row.id,
            uuid=row.uuid,
            name=row.name,
            metadata=dict(row.extra),
            hosts=tuple(members.get(row.id, ())),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]
