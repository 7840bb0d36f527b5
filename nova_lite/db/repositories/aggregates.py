"""Host aggregates, in the API database. Which hosts are in which availability zone is ``zones.py``'s."""

import uuid as uuids
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow, HostMappingRow
from nova_lite.db.repositories import mapping_changes
from nova_lite.errors import Conflict, NotFound

#: The key of an aggregate's metadata that makes it an availability zone.
ZONE_KEY = "availability_zone"


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
        return self.metadata.get(ZONE_KEY)


def all_of_them(session: Session) -> list[Aggregate]:
    """Return every aggregate by age; two queries, however many there are."""
    return _aggregates(session, sa.select(AggregateRow).order_by(AggregateRow.id))


def get(session: Session, aggregate_id: int) -> Aggregate:
    """Return one aggregate; raises NotFound."""
    found = _aggregates(session, sa.select(AggregateRow).where(AggregateRow.id == aggregate_id))
    if not found:
        raise _missing(aggregate_id)
    return found[0]


def find(session: Session, uuid: str) -> Aggregate | None:
    """Return the aggregate of this UUID, None when it is gone."""
    return next(iter(_aggregates(session, sa.select(AggregateRow).where(AggregateRow.uuid == uuid))), None)


def lock(session: Session, aggregate_id: int, more_hosts: Iterable[str] = ()) -> Aggregate:
    """Return one aggregate and let nobody else change it, or the zone of its hosts and ``more_hosts``, meanwhile.

    Raises NotFound.
    """
    statement = sa.select(AggregateRow.id).where(AggregateRow.id == aggregate_id).with_for_update()
    if session.scalar(statement) is None:
        raise _missing(aggregate_id)
    found = get(session, aggregate_id)
    session.execute(
        sa.select(HostMappingRow.host)
        .where(HostMappingRow.host.in_({*found.hosts, *more_hosts}))
        .order_by(HostMappingRow.host)
        .with_for_update()
    ).all()
    return found


def is_mapped(session: Session, host: str) -> bool:
    """Return whether a cell knows a host; nobody takes it away meanwhile."""
    statement = sa.select(HostMappingRow.host).where(HostMappingRow.host == host).with_for_update()
    return session.scalar(statement) is not None


def add(session: Session, name: str, metadata: Mapping[str, str]) -> Aggregate:
    """Record a new aggregate without hosts; raises Conflict when its name is taken."""
    _refuse_taken(session, name)
    row = AggregateRow(uuid=str(uuids.uuid4()), name=name, extra=dict(metadata))
    session.add(row)
    _flush(session, name)
    mapping_changes.bump(session)
    return get(session, row.id)


def change(session: Session, aggregate_id: int, *, name: str, metadata: Mapping[str, str]) -> Aggregate:
    """Write an aggregate's name and metadata and return it; raises NotFound, Conflict when the name is another's."""
    row = session.get(AggregateRow, aggregate_id)
    if row is None:
        raise _missing(aggregate_id)
    if row.name != name:
        _refuse_taken(session, name, besides=aggregate_id)
    row.name = name
    row.extra = dict(metadata)
    _flush(session, name)
    mapping_changes.bump(session)
    return get(session, aggregate_id)


def remove(session: Session, aggregate_id: int) -> None:
    """Forget an aggregate, which must have no hosts any more; raises NotFound."""
    done = session.execute(sa.delete(AggregateRow).where(AggregateRow.id == aggregate_id))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise _missing(aggregate_id)
    mapping_changes.bump(session)


def add_host(session: Session, aggregate_id: int, host: str) -> Aggregate:
    """Put a host into an aggregate and return that; raises Conflict when it is there already."""
    refusal = Conflict(f"Aggregate {aggregate_id} already has host {host}.")
    if session.get(AggregateHostRow, (aggregate_id, host)) is not None:
        raise refusal
    session.add(AggregateHostRow(aggregate_id=aggregate_id, host=host))
    try:
        session.flush()
    except IntegrityError as exc:
        raise refusal from exc
    mapping_changes.bump(session)
    return get(session, aggregate_id)


def remove_host(session: Session, aggregate_id: int, host: str) -> Aggregate:
    """Take a host out of an aggregate and return that; raises NotFound when it was not there."""
    statement = sa.delete(AggregateHostRow).where(
        AggregateHostRow.aggregate_id == aggregate_id, AggregateHostRow.host == host
    )
    if session.execute(statement).rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound(f"Host {host} is not in aggregate {aggregate_id}.")
    mapping_changes.bump(session)
    return get(session, aggregate_id)


def hosts_of(session: Session, uuid: str) -> list[str]:
    """Return the hosts of the aggregate of this UUID by name; none when it is gone."""
    statement = sa.select(AggregateHostRow.host).join(AggregateRow, AggregateRow.id == AggregateHostRow.aggregate_id)
    return list(session.scalars(statement.where(AggregateRow.uuid == uuid).order_by(AggregateHostRow.host)))


def has_host(session: Session, uuid: str, host: str) -> bool:
    """Return whether a host is in the aggregate of this UUID."""
    statement = sa.select(AggregateRow.id).join(AggregateHostRow, AggregateHostRow.aggregate_id == AggregateRow.id)
    return session.scalar(statement.where(AggregateRow.uuid == uuid, AggregateHostRow.host == host)) is not None


def other_zones(session: Session, hosts: Sequence[str], besides: int) -> set[str]:
    """Return the zones that ``hosts`` are in by aggregates other than ``besides``."""
    rows = session.scalars(
        sa.select(AggregateRow.extra)
        .join(AggregateHostRow, AggregateHostRow.aggregate_id == AggregateRow.id)
        .where(AggregateHostRow.host.in_(hosts), AggregateRow.id != besides)
    )
    return {extra[ZONE_KEY] for extra in rows if ZONE_KEY in extra}


def _refuse_taken(session: Session, name: str, besides: int = 0) -> None:
    taken = sa.select(AggregateRow.id).where(AggregateRow.name == name, AggregateRow.id != besides)
    if session.scalar(taken.limit(1)) is not None:
        raise Conflict(f"Aggregate {name} already exists.")


def _flush(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError as exc:
        raise Conflict(f"Aggregate {name} already exists.") from exc


def _missing(aggregate_id: int) -> NotFound:
    return NotFound(f"Aggregate {aggregate_id} could not be found.")


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
