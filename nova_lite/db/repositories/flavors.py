"""Flavors, their extra specs, and the projects that may use private ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import FlavorProjectRow, FlavorRow
from nova_lite.db.columns import moment_or_never
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.model.flavor import Flavor
from nova_lite.storage import Handle

#: What a list can be sorted by → the expression. NULL sorts differently in each database, so none is left.
SORT_KEYS: Mapping[str, sa.ColumnElement[Any]] = {
    "created_at": FlavorRow.__table__.c.created_at,
    "description": sa.func.coalesce(FlavorRow.description, ""),
    "disabled": sa.case((FlavorRow.disabled, 1), else_=0),
    "ephemeral_gb": FlavorRow.__table__.c.ephemeral_gb,
    "flavorid": FlavorRow.__table__.c.flavorid,
    "id": FlavorRow.__table__.c.id,
    "is_public": sa.case((FlavorRow.is_public, 1), else_=0),
    "memory_mb": FlavorRow.__table__.c.memory_mb,
    "name": FlavorRow.__table__.c.name,
    "root_gb": FlavorRow.__table__.c.root_gb,
    "rxtx_factor": FlavorRow.__table__.c.rxtx_factor,
    "swap": FlavorRow.__table__.c.swap,
    "updated_at": moment_or_never(FlavorRow.updated_at),
    # A weight that no flavor carries any more: everything is equal.
    "vcpu_weight": FlavorRow.__table__.c.id * 0,
    "vcpus": FlavorRow.__table__.c.vcpus,
}
_TABLE = cast(sa.Table, FlavorRow.__table__)
_GRANTS = cast(sa.Table, FlavorProjectRow.__table__)
#: Made once, for each new server runs one of them.
_ONE = sa.select(_TABLE).where(_TABLE.c.flavorid == sa.bindparam("wanted"))
_ONE_USABLE = _ONE.where(
    sa.or_(
        _TABLE.c.is_public.is_(True),
        sa.select(_GRANTS.c.flavor_id)
        .where(_GRANTS.c.flavor_id == _TABLE.c.id, _GRANTS.c.project_id == sa.bindparam("visible_to"))
        .exists(),
    )
)


@dataclass(frozen=True)
class FlavorQuery:
    """Which flavors to list, and which page of them.

    ``is_public`` None asks for all, True for the public ones and those that ``project_id`` may use besides.
    """

    project_id: str
    is_public: bool | None = True
    with_disabled: bool = False
    name_part: str | None = None
    min_ram_mib: int | None = None
    min_disk_gib: int | None = None
    sort_key: str = "flavorid"
    is_descending: bool = False
    marker: str | None = None


def get(handle: Handle, flavor_id: str, *, visible_to: str | None = None) -> Flavor:
    """Return a flavor; raises NotFound, also for one that project ``visible_to`` may not use (None: see all)."""
    statement = _ONE if visible_to is None else _ONE_USABLE
    row = handle.execute(statement, {"wanted": flavor_id, "visible_to": visible_to}).one_or_none()
    if row is None:
        raise _missing(flavor_id)
    return _flavor(row)


def number(session: Session, flavor_id: str) -> int | None:
    """Return the number of a flavor's row, which old clients see; None when it is gone."""
    return session.scalar(sa.select(FlavorRow.id).filter_by(flavorid=flavor_id))


def page(handle: Handle, wanted: FlavorQuery, limit: int) -> list[Flavor]:
    """Return at most ``limit`` flavors in order; raises Invalid for a marker that names no flavor."""
    statement = _filtered(wanted)
    key = SORT_KEYS[wanted.sort_key]
    if wanted.marker is not None:
        at = handle.execute(sa.select(key, FlavorRow.id).where(FlavorRow.flavorid == wanted.marker)).one_or_none()
        if at is None:
            raise Invalid(f"marker: flavor {wanted.marker[:255]!r} could not be found")
        here, last_id = at
        beyond = key < here if wanted.is_descending else key > here
        beyond_id = FlavorRow.id < last_id if wanted.is_descending else FlavorRow.id > last_id
        statement = statement.where(sa.or_(beyond, sa.and_(key == here, beyond_id)))
    order = (key.desc(), FlavorRow.id.desc()) if wanted.is_descending else (key, FlavorRow.id)
    return [_flavor(row) for row in handle.execute(statement.order_by(*order).limit(limit))]


def add(session: Session, flavor: Flavor) -> None:
    """Record a new flavor; raises Conflict when its name or id is taken."""
    taken = session.scalar(
        sa.select(FlavorRow.flavorid).where(
            sa.or_(FlavorRow.flavorid == flavor.flavor_id, FlavorRow.name == flavor.name)
        )
    )
    if taken is not None:
        what = f"ID {flavor.flavor_id}" if taken == flavor.flavor_id else f"name {flavor.name}"
        raise Conflict(f"Flavor with {what} already exists.")
    session.add(
        FlavorRow(
            flavorid=flavor.flavor_id,
            name=flavor.name,
            vcpus=flavor.vcpus,
            memory_mb=flavor.ram_mib,
            root_gb=flavor.root_gib,
            ephemeral_gb=flavor.ephemeral_gib,
            swap=flavor.swap_mib,
            rxtx_factor=flavor.rxtx_factor,
            is_public=flavor.is_public,
            disabled=flavor.is_disabled,
            description=flavor.description,
            extra_specs=dict(flavor.extra_specs),
        )
    )
    try:
        session.flush()
    except IntegrityError as exc:
        raise Conflict(f"Flavor with ID {flavor.flavor_id} or name {flavor.name} already exists.") from exc


def describe(session: Session, flavor_id: str, description: str | None) -> Flavor:
    """Set a flavor's description and return the flavor; raises NotFound."""
    row = _row(session, flavor_id, hold=True)
    row.description = description
    session.flush()
    return _flavor(row)


def remove(session: Session, flavor_id: str) -> None:
    """Delete a flavor and who may use it; servers keep their copy. Raises NotFound."""
    done = session.execute(sa.delete(FlavorRow).where(FlavorRow.flavorid == flavor_id))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise _missing(flavor_id)


def change_extra_specs(
    session: Session, flavor_id: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> dict[str, str]:
    """Replace a flavor's extra specs by what ``change`` makes of them, one change at a time; raises NotFound."""
    row = _row(session, flavor_id, hold=True)
    row.extra_specs = change(dict(row.extra_specs))
    session.flush()
    return row.extra_specs


def projects(session: Session, flavor_id: str) -> tuple[bool, list[str]]:
    """Return whether a flavor is public, and the projects that were let use it; raises NotFound."""
    row = _row(session, flavor_id)
    found = session.scalars(
        sa.select(FlavorProjectRow.project_id).filter_by(flavor_id=row.id).order_by(FlavorProjectRow.project_id)
    )
    return row.is_public, list(found)


def allow(session: Session, flavor_id: str, project_id: str) -> None:
    """Let a project use a flavor; raises Conflict when it may already."""
    row = _row(session, flavor_id, hold=True)
    refusal = Conflict(f"Flavor access already exists for flavor {flavor_id} and project {project_id} combination.")
    if session.get(FlavorProjectRow, (row.id, project_id)) is not None:
        raise refusal
    session.add(FlavorProjectRow(flavor_id=row.id, project_id=project_id))
    try:
        session.flush()
    except IntegrityError as exc:
        raise refusal from exc


def disallow(session: Session, flavor_id: str, project_id: str) -> None:
    """Stop a project from using a flavor; raises NotFound when it could not."""
    row = _row(session, flavor_id)
    done = session.execute(
        sa.delete(FlavorProjectRow).where(
            FlavorProjectRow.flavor_id == row.id, FlavorProjectRow.project_id == project_id
        )
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound(f"Flavor access not found for {flavor_id} / {project_id} combination.")


def _filtered(wanted: FlavorQuery) -> sa.Select[Any]:
    # Without the ORM, for lists may be long.
    statement = sa.select(_TABLE)
    if wanted.is_public:
        statement = statement.where(_usable_by(wanted.project_id))
    elif wanted.is_public is False:
        statement = statement.where(FlavorRow.is_public.is_(False))
    if not wanted.with_disabled:
        statement = statement.where(FlavorRow.disabled.is_(False))
    if wanted.name_part is not None:
        statement = statement.where(FlavorRow.name.contains(wanted.name_part, autoescape=True))
    if wanted.min_ram_mib is not None:
        statement = statement.where(FlavorRow.memory_mb >= wanted.min_ram_mib)
    if wanted.min_disk_gib is not None:
        statement = statement.where(FlavorRow.root_gb >= wanted.min_disk_gib)
    return statement


def _usable_by(project_id: str) -> sa.ColumnElement[bool]:
    granted = (
        sa.select(FlavorProjectRow.flavor_id)
        .where(FlavorProjectRow.flavor_id == FlavorRow.id, FlavorProjectRow.project_id == project_id)
        .exists()
    )
    return sa.or_(FlavorRow.is_public.is_(True), granted)


def _row(session: Session, flavor_id: str, *, hold: bool = False) -> FlavorRow:
    statement = sa.select(FlavorRow).where(FlavorRow.flavorid == flavor_id)
    if hold:
        statement = statement.with_for_update()
    row = session.scalar(statement)
    if row is None:
        raise _missing(flavor_id)
    return row


def _missing(flavor_id: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id[:255]} could not be found.")


def _flavor(row: FlavorRow | sa.Row[Any]) -> Flavor:
    return Flavor(
        flavor_id=row.flavorid,
        name=row.name,
        vcpus=row.vcpus,
        ram_mib=row.memory_mb,
        root_gib=row.root_gb,
        ephemeral_gib=row.ephemeral_gb,
        swap_mib=row.swap,
        rxtx_factor=row.rxtx_factor,
        is_public=row.is_public,
        is_disabled=row.disabled,
        description=row.description,
        extra_specs=dict(row.extra_specs),
    )
