"""Whether a cell's instances and the API database's mappings agree: what is found in the one, mapped in the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import InstanceMappingRow, MappedUpToRow
from nova_lite.db.cell_tables import InstanceRow, ServiceRow


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """What a mapping says of an instance; ``row_id`` is where the next page begins."""

    row_id: int
    uuid: str
    project_id: str
    user_id: str
    vcpus: int
    ram_mib: int


def page(session: Session, *, after: int, limit: int) -> list[FoundInstance]:
    """Return the cell's next ``limit`` live instances behind row ``after``."""
    rows = session.execute(
        sa.select(
            InstanceRow.id,
            InstanceRow.uuid,
            InstanceRow.project_id,
            InstanceRow.user_id,
            InstanceRow.vcpus,
            InstanceRow.memory_mb,
        )
        .where(InstanceRow.id > after, InstanceRow.deleted.is_(False))
        .order_by(InstanceRow.id)
        .limit(limit)
    )
    return [FoundInstance(*row) for row in rows]


def add_missing(session: Session, cell_uuid: str, found: Sequence[FoundInstance]) -> int:
    """Map those of ``found`` that have no mapping to the cell they were found in; return how many that were."""
    uuids = [one.uuid for one in found]
    statement = sa.select(InstanceMappingRow.instance_uuid).where(InstanceMappingRow.instance_uuid.in_(uuids))
    known = set(session.scalars(statement))
    missing = [one for one in found if one.uuid not in known]
    session.add_all(
        InstanceMappingRow(
            instance_uuid=one.uuid,
            cell_uuid=cell_uuid,
            project_id=one.project_id,
            user_id=one.user_id,
            vcpus=one.vcpus,
            ram_mib=one.ram_mib,
        )
        for one in missing
    )
    session.flush()
    return len(missing)


def begin_marker(session: Session, cell_uuid: str, *, is_reset: bool) -> None:
    """Let a cell have a marker; one that is there stays where it is, unless ``is_reset``."""
    row = session.get(MappedUpToRow, cell_uuid)
    if row is None:
        session.add(MappedUpToRow(cell_uuid=cell_uuid, row_id=0))
    elif is_reset:
        row.row_id = 0
    session.flush()


def locked_marker(session: Session, cell_uuid: str) -> int:
    """Return the row up to which a cell's instances were looked at; nobody else moves it meanwhile."""
    marker = sa.select(MappedUpToRow.row_id).where(MappedUpToRow.cell_uuid == cell_uuid)
    return session.scalar(marker.with_for_update()) or 0


def move_marker(session: Session, cell_uuid: str, row_id: int) -> None:
    """Note how far a cell's instances were looked at."""
    session.execute(sa.update(MappedUpToRow).where(MappedUpToRow.cell_uuid == cell_uuid).values(row_id=row_id))


def is_alive(session: Session, uuid: str) -> bool | None:
    """Return whether an instance lives in this cell; None when the cell has no row of it at all."""
    is_deleted = session.scalar(sa.select(InstanceRow.deleted).where(InstanceRow.uuid == uuid))
    return None if is_deleted is None else not is_deleted


def has_living(session: Session, host: str | None = None) -> bool:
    """Return whether a live instance is in this cell, or on one host of it."""
    living = sa.select(InstanceRow.id).where(InstanceRow.deleted.is_(False))
    if host is not None:
        living = living.where(InstanceRow.host == host)
    return session.scalar(living.limit(1)) is not None


def lock_agent(session: Session, host: str, binary: str) -> None:
    """Let nobody change or remove a host's service until this transaction ends."""
    session.execute(
        sa.select(ServiceRow.id).where(ServiceRow.host == host, ServiceRow.binary == binary).with_for_update()
    ).all()
