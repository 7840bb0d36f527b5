"""A cell's migrations: recorded, brought on, and listed newest first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import InstanceRow, MigrationRow, ServiceRow
from nova_lite.db.columns import utcnow
from nova_lite.model.flavor import Flavor
from nova_lite.model.migration import (
    CONFIRMING,
    FINISHED,
    LIVE_AT_WORK,
    LIVE_IN_PROGRESS,
    OVER,
    Asked,
    Migration,
    MigrationKind,
    Place,
    Progress,
)
from nova_lite.model.states import TaskState

#: What a list is ordered by, and whether it goes down; the UUID tells apart what numbers of several cells cannot.
DESCENDS = (True, True, False)
_PROGRESS = tuple(field.name for field in fields(Progress))


@dataclass(frozen=True, slots=True)
class MigrationQuery:
    """Which migrations to list; None is any. ``host`` and ``node`` (a hypervisor's name) may be at either end."""

    uuid: str | None = None
    instance_uuid: str | None = None
    kind: str | None = None
    status: str | None = None
    host: str | None = None
    source_host: str | None = None
    node: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    changes_since: datetime | None = None
    changes_before: datetime | None = None


def add(session: Session, migration: Migration) -> None:
    """Record a migration."""
    dest = migration.dest
    session.execute(
        sa.insert(MigrationRow).values(
            uuid=migration.uuid,
            instance_uuid=migration.instance_uuid,
            kind=migration.kind,
            status=migration.status,
            user_id=migration.user_id,
            project_id=migration.project_id,
            source_host=migration.source.host,
            source_node=migration.source.node,
            source_node_name=migration.source.node_name,
            dest_host=None if dest is None else dest.host,
            dest_node=None if dest is None else dest.node,
            dest_node_name=None if dest is None else dest.node_name,
            dest_ip=migration.dest_ip,
            old_flavor=msgspec.to_builtins(migration.old_flavor),
            new_flavor=msgspec.to_builtins(migration.new_flavor),
            old_flavor_number=migration.old_flavor_number,
            new_flavor_number=migration.new_flavor_number,
            hidden=migration.is_hidden,
            created_at=migration.created_at,
            updated_at=migration.updated_at,
            asked=None if migration.asked == Asked() else msgspec.to_builtins(migration.asked),
            **asdict(migration.progress),
        )
    )


def bring_to(session: Session, uuid: str, status: str, *, dest: Place | None = None) -> None:
    """Set the status of a migration, and where it leads once that is known; one that is over stays as it is."""
    values: dict[str, Any] = {"status": status, "updated_at": utcnow()}
    if dest is not None:
        values |= {"dest_host": dest.host, "dest_node": dest.node, "dest_node_name": dest.node_name}
    session.execute(
        sa.update(MigrationRow).where(MigrationRow.uuid == uuid, MigrationRow.status.not_in(OVER)).values(**values)
    )


def open_of(session: Session, instance_uuid: str) -> list[Migration]:
    """Return an instance's migrations that are not over, oldest first: each holds something in Placement."""
    return _open(session, MigrationRow.instance_uuid == instance_uuid)


def away_from(session: Session, host: str) -> list[str]:
    """Return the instances that moved away from ``host`` and may yet come back: what they left there is wanted."""
    return list(
        session.scalars(
            sa.select(MigrationRow.instance_uuid)
            .join(InstanceRow, InstanceRow.uuid == MigrationRow.instance_uuid)
            .where(
                MigrationRow.source_host == host,
                MigrationRow.status.not_in((*OVER, CONFIRMING)),
                InstanceRow.deleted.is_(False),
                InstanceRow.task_state.is_distinct_from(TaskState.DELETING),
            )
        )
    )


def unconfirmed(session: Session, *, before: datetime) -> list[Migration]:
    """Return the migrations that have waited to be confirmed since ``before``."""
    return _open(session, sa.and_(MigrationRow.status == FINISHED, MigrationRow.updated_at < before))


def _open(session: Session, which: sa.ColumnElement[bool]) -> list[Migration]:
    rows = session.scalars(
        sa.select(MigrationRow).where(which, MigrationRow.status.not_in(OVER)).order_by(MigrationRow.id)
    )
    return [_migration(row) for row in rows]


def get(session: Session, uuid: str) -> Migration | None:
    """Return one migration, or None."""
    row = session.scalar(sa.select(MigrationRow).filter_by(uuid=uuid))
    return None if row is None else _migration(row)


def key(migration: Migration) -> tuple[Any, ...]:
    """Return what a migration sorts by."""
    return migration.created_at, migration.number, migration.uuid


def page(
    session: Session, wanted: MigrationQuery, *, after: Sequence[Any] | None, limit: int | None
) -> list[tuple[tuple[Any, ...], Migration]]:
    """Return at most ``limit`` (None: all) visible ones beyond the key ``after``, newest first, each with its key."""
    statement = sa.select(MigrationRow).where(MigrationRow.hidden == sa.false(), *_conditions(wanted))
    if after is not None:
        created_at, number, uuid = after
        same_time = MigrationRow.created_at == created_at
        statement = statement.where(
            MigrationRow.created_at <= created_at,
            sa.or_(
                MigrationRow.created_at < created_at,
                sa.and_(same_time, MigrationRow.id < number),
                sa.and_(same_time, MigrationRow.id == number, MigrationRow.uuid > uuid),
            ),
        )
    # The number is unique in a cell: what comes behind it in the key needs no sorting here.
    statement = statement.order_by(MigrationRow.created_at.desc(), MigrationRow.id.desc()).limit(limit)
    found = [_migration(row) for row in session.scalars(statement)]
    return [(key(migration), migration) for migration in found]


def live_in_progress(session: Session, instance_uuid: str) -> list[Migration]:
    """Return an instance's live migrations that are under way, oldest first."""
    rows = session.scalars(
        sa.select(MigrationRow)
        .where(
            MigrationRow.instance_uuid == instance_uuid,
            MigrationRow.status.in_(LIVE_IN_PROGRESS),
            MigrationRow.kind == MigrationKind.LIVE,
        )
        .order_by(MigrationRow.id)
    )
    return [_migration(row) for row in rows]


def numbered(session: Session, instance_uuid: str, number: int) -> Migration | None:
    """Return an instance's migration by its number, or None."""
    row = session.scalar(sa.select(MigrationRow).filter_by(instance_uuid=instance_uuid, id=number))
    return None if row is None else _migration(row)


def ask(session: Session, uuid: str, asked: Asked) -> None:
    """Write down what is asked of a live migration."""
    session.execute(sa.update(MigrationRow).where(MigrationRow.uuid == uuid).values(asked=msgspec.to_builtins(asked)))


def note_progress(session: Session, uuid: str, progress: Progress) -> None:
    """Write down how far a live migration is, unless it is over."""
    session.execute(
        sa.update(MigrationRow)
        .where(MigrationRow.uuid == uuid, MigrationRow.status.not_in(OVER))
        .values(updated_at=utcnow(), **asdict(progress))
    )


def leaving_live(session: Session, host: str) -> int:
    """Return how many live migrations are at work on ``host``, away from there; others wait until this one has ended.

    ``session`` must be a writer: whoever counts is alone with the host until the transaction ends.
    """
    session.execute(sa.select(ServiceRow.id).where(ServiceRow.host == host).with_for_update()).all()
    count = session.scalar(
        sa.select(sa.func.count())
        .select_from(MigrationRow)
        .where(
            MigrationRow.source_host == host,
            MigrationRow.kind == MigrationKind.LIVE,
            MigrationRow.status.in_(LIVE_AT_WORK),
        )
    )
    return int(count or 0)


def waiting_to_leave(session: Session, host: str) -> str | None:
    """Return the UUID of the live migration that has waited longest for its turn to leave ``host``."""
    return session.scalar(
        sa.select(MigrationRow.uuid)
        .where(
            MigrationRow.source_host == host,
            MigrationRow.kind == MigrationKind.LIVE,
            MigrationRow.status == "queued",
        )
        .order_by(MigrationRow.id)
        .limit(1)
    )


def arriving_live(session: Session, host: str) -> list[tuple[str, int]]:
    """Return the instances that are being migrated live to ``host``, and not yet its own, with their epochs."""
    rows = session.execute(
        sa.select(InstanceRow.uuid, InstanceRow.epoch)
        .join(MigrationRow, MigrationRow.instance_uuid == InstanceRow.uuid)
        .where(
            MigrationRow.dest_host == host,
            MigrationRow.kind == MigrationKind.LIVE,
            MigrationRow.status.not_in(OVER),
            InstanceRow.deleted.is_(False),
            InstanceRow.host != host,
            InstanceRow.task_state.is_distinct_from(TaskState.DELETING),
        )
    )
    return [(uuid, epoch) for uuid, epoch in rows]


def live_status(session: Session, host: str, uuid: str) -> str | None:
    """Return the status of a live migration from ``host`` or to it; None when it is over, or its server goes."""
    return session.scalar(
        sa.select(MigrationRow.status)
        .join(InstanceRow, InstanceRow.uuid == MigrationRow.instance_uuid)
        .where(
            MigrationRow.uuid == uuid,
            MigrationRow.kind == MigrationKind.LIVE,
            MigrationRow.status.not_in(OVER),
            sa.or_(MigrationRow.source_host == host, MigrationRow.dest_host == host),
            InstanceRow.deleted.is_(False),
            InstanceRow.task_state == TaskState.MIGRATING,
        )
    )


def _conditions(wanted: MigrationQuery) -> list[sa.ColumnElement[bool]]:
    exact = (
        (MigrationRow.uuid, wanted.uuid),
        (MigrationRow.instance_uuid, wanted.instance_uuid),
        (MigrationRow.kind, wanted.kind),
        (MigrationRow.status, wanted.status),
        (MigrationRow.source_host, wanted.source_host),
        (MigrationRow.user_id, wanted.user_id),
        (MigrationRow.project_id, wanted.project_id),
    )
    conditions: list[sa.ColumnElement[bool]] = [column == value for column, value in exact if value is not None]
    if wanted.host is not None:
        conditions.append(sa.or_(MigrationRow.source_host == wanted.host, MigrationRow.dest_host == wanted.host))
    if wanted.node is not None:
        names = (MigrationRow.source_node_name, MigrationRow.dest_node_name)
        conditions.append(sa.or_(*(name == wanted.node for name in names)))
    if wanted.changes_since is not None:
        conditions.append(MigrationRow.updated_at >= wanted.changes_since)
    if wanted.changes_before is not None:
        conditions.append(MigrationRow.updated_at <= wanted.changes_before)
    return conditions


def _migration(row: MigrationRow) -> Migration:
    dest = None
    if row.dest_host is not None:
        dest = Place(row.dest_host, row.dest_node or "", row.dest_node_name or "")
    return Migration(
        uuid=row.uuid,
        instance_uuid=row.instance_uuid,
        kind=MigrationKind(row.kind),
        status=row.status,
        user_id=row.user_id,
        project_id=row.project_id,
        source=Place(row.source_host, row.source_node, row.source_node_name),
        old_flavor=Flavor(**row.old_flavor),
        new_flavor=Flavor(**row.new_flavor),
        created_at=row.created_at,
        updated_at=row.updated_at,
        dest=dest,
        dest_ip=row.dest_ip,
        old_flavor_number=row.old_flavor_number,
        new_flavor_number=row.new_flavor_number,
        progress=Progress(**{name: getattr(row, name) for name in _PROGRESS}),
        asked=Asked(**(row.asked or {})),
        is_hidden=row.hidden,
        number=row.id,
    )
