"""What servers of a cell were there within a window of time, living or deleted, and how large they were."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.repositories.instance_lists import by_code_point


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when one looks, in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ServerTime:
    """A server that ran within a window: its size, and from when to when it was there; ``number`` is its row's."""

    number: int
    uuid: str
    project_id: str
    name: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    vm_state: str
    launched_at: datetime
    terminated_at: datetime | None

    @property
    def key(self) -> tuple[str, str]:
        """Return what pages sort by."""
        return self.project_id, self.uuid


#: The columns that make a ServerTime, in its order.
_COLUMNS = (
    InstanceRow.id,
    InstanceRow.uuid,
    InstanceRow.project_id,
    InstanceRow.display_name,
    InstanceRow.flavor["name"].as_string(),
    InstanceRow.vcpus,
    InstanceRow.memory_mb,
    # Of the flavor, also where that disk is a volume: so it is billed elsewhere, too.
    InstanceRow.flavor["root_gib"].as_integer() + InstanceRow.ephemeral_gb,
    InstanceRow.vm_state,
    InstanceRow.launched_at,
    InstanceRow.terminated_at,
)


def batch(
    session: Session, window: Window, *, after: int, limit: int, project_id: str | None = None
) -> list[ServerTime]:
    """Return the next ``limit`` servers behind row ``after``, of one project or of all."""
    statement = _within(window, project_id).where(InstanceRow.id > after).order_by(InstanceRow.id).limit(limit)
    return [ServerTime(*row) for row in session.execute(statement)]


def page(
    session: Session,
    window: Window,
    *,
    after: tuple[str, str] | None,
    limit: int | None,
    project_id: str | None = None,
) -> list[ServerTime]:
    """Return at most ``limit`` servers behind a key, by project and UUID, of one project or of all."""
    project, uuid = by_code_point(InstanceRow.project_id), by_code_point(InstanceRow.uuid)
    statement = _within(window, project_id).order_by(project, uuid).limit(limit)
    if after is not None:
        statement = statement.where(sa.or_(project > after[0], sa.and_(project == after[0], uuid > after[1])))
    return [ServerTime(*row) for row in session.execute(statement)]


def _within(window: Window, project_id: str | None) -> sa.Select[Any]:
    statement = sa.select(*_COLUMNS).where(
        InstanceRow.launched_at < window.end,
        sa.or_(InstanceRow.terminated_at.is_(None), InstanceRow.terminated_at > window.start),
    )
    return statement if project_id is None else statement.where(InstanceRow.project_id == project_id)
