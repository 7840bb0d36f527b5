"""Dead instances and all rows about them: counted, moved to the shadow tables, deleted there.

Only what is dead and at rest is touched: no workflow about it is open. Dead instances never come back to life.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import ApiBase, ApiWorkflowRow, InstanceMappingRow
from nova_lite.db.cell_tables import (
    SHADOWS,
    CellBase,
    CellWorkflowRow,
    InstanceActionEventRow,
    InstanceActionRow,
    InstanceRow,
    MigrationRow,
)
from nova_lite.model.workflow import OPEN

#: Table → rows that were moved or deleted.
Rows = Counter[str]

#: The column by which a cell's tables name the instance that a row is about.
NAMES_INSTANCE: Mapping[type[CellBase], str] = {
    InstanceActionRow: "instance_uuid",
    CellWorkflowRow: "subject",
    MigrationRow: "instance_uuid",
    InstanceRow: "uuid",
}


#: Where a page of dead instances begins: behind the one made then, with this UUID.
After = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead instance; ``rows`` is how many rows are about it in the cell."""

    uuid: str
    created_at: datetime
    rows: int


def dead(session: Session, *, after: After | None, before: datetime | None, limit: int) -> list[Dead]:
    """Return a cell's next ``limit`` instances, by age, that are dead (since ``before``) and at rest."""
    # In the order of an index that begins with what is deleted, so that no live row is read. Compared, not asked
    # whether it "IS true", which keeps MySQL from the index.
    statement = sa.select(InstanceRow.uuid, InstanceRow.created_at).where(InstanceRow.deleted == sa.true(), ~_at_work())
    if after is not None:
        made_at, uuid = after
        is_later = sa.and_(InstanceRow.created_at == made_at, InstanceRow.uuid > uuid)
        statement = statement.where(
            InstanceRow.created_at >= made_at, sa.or_(InstanceRow.created_at > made_at, is_later)
        )
    if before is not None:
        statement = statement.where(InstanceRow.deleted_at < before)
    found = session.execute(statement.order_by(InstanceRow.created_at, InstanceRow.uuid).limit(limit)).all()
    uuids = [uuid for uuid, _ in found]
    sizes: Rows = Counter()
    for row in SHADOWS:
        sizes.update(dict(session.execute(_sizes(row, uuids)).all()))
    return [Dead(uuid, created_at, sizes[uuid]) for uuid, created_at in found]


def dead_of(session: Session, uuids: Sequence[str]) -> set[str]:
    """Return those of ``uuids`` that are dead in this cell, and not archived."""
    is_dead = InstanceRow.deleted == sa.true()
    return set(session.scalars(sa.select(InstanceRow.uuid).where(InstanceRow.uuid.in_(uuids), is_dead)))


def move(session: Session, uuids: Sequence[str]) -> Rows:
    """Move those of ``uuids`` that are dead and at rest to the shadow tables, with all rows about them."""
    statement = sa.select(InstanceRow.uuid).where(
        InstanceRow.uuid.in_(uuids), InstanceRow.deleted == sa.true(), ~_at_work()
    )
    held = list(session.scalars(statement.order_by(InstanceRow.id).with_for_update()))
    moved: Rows = Counter()
    for row, shadow in SHADOWS.items():
        table = CellBase.metadata.tables[row.__tablename__]
        # What is deleted is exactly what was copied.
        ids = list(session.scalars(sa.select(table.c.id).where(_about(row, held)).with_for_update()))
        if ids:
            names = [column.name for column in table.columns]
            copied = sa.select(*table.columns).where(table.c.id.in_(ids))
            session.execute(sa.insert(shadow).from_select(names, copied))
            moved[table.name] += _deleted(session, table, table.c.id.in_(ids))
    return moved


def purge(session: Session, *, before: datetime | None, limit: int) -> Rows | None:
    """Delete ``limit`` archived instances at most (those that died ``before``), with all rows about them.

    None when there is none; no rows when somebody else deleted them at the same moment.
    """
    instances = SHADOWS[InstanceRow]
    statement = sa.select(instances.c.uuid).limit(limit)
    if before is None:
        statement = statement.order_by(instances.c.id)
    else:
        statement = statement.where(instances.c.deleted_at < before).order_by(instances.c.deleted_at)
    uuids = list(session.scalars(statement))
    if not uuids:
        return None
    deleted: Rows = Counter()
    for row, shadow in SHADOWS.items():
        deleted[shadow.name] += _deleted(session, shadow, _archived_about(row, uuids))
    return +deleted


def mapped_elsewhere(session: Session, uuids: Sequence[str], cell_uuid: str | None) -> dict[str, str | None]:
    """Return those of ``uuids`` that are not mapped to a cell, but to another or to none yet: UUID → cell UUID."""
    rows = session.execute(
        sa.select(InstanceMappingRow.instance_uuid, InstanceMappingRow.cell_uuid).where(
            InstanceMappingRow.instance_uuid.in_(uuids)
        )
    )
    return {uuid: mapped_to for uuid, mapped_to in rows if mapped_to is None or mapped_to != cell_uuid}


def forget(session: Session, uuids: Sequence[str]) -> Rows:
    """Delete all that the API database has about instances: mappings, requests, finished workflows and the rest."""
    deleted = _forget_beside_mappings(session, uuids)
    mapping = ApiBase.metadata.tables[InstanceMappingRow.__tablename__]
    deleted[mapping.name] += _deleted(session, mapping, mapping.c.instance_uuid.in_(uuids))
    return +deleted


def forget_cell(session: Session, cell_uuid: str) -> None:
    """Delete all that the API database has about the instances mapped to a cell, but the mappings."""
    mapped = sa.select(InstanceMappingRow.instance_uuid).where(InstanceMappingRow.cell_uuid == cell_uuid)
    _forget_beside_mappings(session, mapped)


def _forget_beside_mappings(session: Session, uuids: Sequence[str] | sa.Select[Any]) -> Rows:
    deleted: Rows = Counter()
    for table in reversed(ApiBase.metadata.sorted_tables):
        if "instance_uuid" in table.columns and table.name != InstanceMappingRow.__tablename__:
            deleted[table.name] += _deleted(session, table, table.c.instance_uuid.in_(uuids))
    workflows = ApiBase.metadata.tables[ApiWorkflowRow.__tablename__]
    finished = sa.and_(workflows.c.subject.in_(uuids), workflows.c.status.not_in(OPEN))
    deleted[workflows.name] += _deleted(session, workflows, finished)
    return deleted


def _at_work() -> sa.ColumnElement[bool]:
    return (
        sa.select(CellWorkflowRow.id)
        .where(CellWorkflowRow.subject == InstanceRow.uuid, CellWorkflowRow.status.in_(OPEN))
        .exists()
    )


def _sizes(row: type[CellBase], uuids: Sequence[str]) -> Any:
    """Return the question how many rows of a table are about each of ``uuids``."""
    if row is InstanceActionEventRow:
        instance = InstanceActionRow.instance_uuid
        counted: Any = sa.select(instance, sa.func.count()).select_from(
            sa.join(InstanceActionRow, InstanceActionEventRow)
        )
    else:
        instance = getattr(row, NAMES_INSTANCE[row])
        counted = sa.select(instance, sa.func.count())
    return counted.where(instance.in_(uuids)).group_by(instance)


def _about(row: type[CellBase], uuids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition on rows to be about ``uuids``."""
    if row is InstanceActionEventRow:
        of_them = sa.select(InstanceActionRow.id).where(InstanceActionRow.instance_uuid.in_(uuids))
        return InstanceActionEventRow.action_id.in_(of_them)
    return cast("sa.ColumnElement[bool]", getattr(row, NAMES_INSTANCE[row]).in_(uuids))


def _archived_about(row: type[CellBase], uuids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition on archived rows to be about ``uuids``."""
    shadow = SHADOWS[row]
    if row is InstanceActionEventRow:
        actions = SHADOWS[InstanceActionRow]
        return shadow.c.action_id.in_(sa.select(actions.c.id).where(actions.c.instance_uuid.in_(uuids)))
    return shadow.c[NAMES_INSTANCE[row]].in_(uuids)


def _deleted(session: Session, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    """Delete rows; return how many."""
    return int(session.execute(sa.delete(table).where(condition)).rowcount)  # type: ignore[attr-defined]
