"""Quota limits, and the locks under which use is counted; all in the API database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import QuotaClassLimitRow, QuotaLimitRow, QuotaLockRow
from nova_lite.storage import Handle

#: The class whose limits hold for every project that was given none.
DEFAULT_CLASS = "default"
#: In the place of a user: the project as a whole.
WHOLE_PROJECT = ""
#: The lock under which the limits of classes are changed.
_CLASSES = "*"

Limits = dict[str, int]

_LOCKS = cast(sa.Table, QuotaLockRow.__table__)
_OF_OWNER = cast(sa.Table, QuotaLimitRow.__table__).c
_OF_CLASS = cast(sa.Table, QuotaClassLimitRow.__table__).c
#: Made once, for each new server runs two of them.
_LOCK = sa.select(_LOCKS.c.project_id).where(_LOCKS.c.project_id == sa.bindparam("project"))
_HELD, _SHARED = _LOCK.with_for_update(), _LOCK.with_for_update(read=True)
_LIMITS = sa.union_all(
    sa.select(
        sa.literal(False).label("is_of_class"), _OF_OWNER.user_id, _OF_OWNER.resource, _OF_OWNER.hard_limit
    ).where(
        _OF_OWNER.project_id == sa.bindparam("project"),
        sa.or_(_OF_OWNER.user_id == WHOLE_PROJECT, _OF_OWNER.user_id == sa.bindparam("user")),
    ),
    sa.select(sa.literal(True), sa.literal(WHOLE_PROJECT), _OF_CLASS.resource, _OF_CLASS.hard_limit).where(
        _OF_CLASS.class_name == DEFAULT_CLASS
    ),
)


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Limits that were set, each resource → limit: of the default class, of a project, of a user in it."""

    default: Limits
    project: Limits
    user: Limits


def lock(handle: Handle, project_id: str, *, shares: bool = False) -> None:
    """Hold the project's lock until the transaction ends: one counts and inserts at a time.

    Who ``shares`` it holds it together with others who do, and keeps away those who do not.
    """
    statement = _SHARED if shares else _HELD
    if handle.scalar(statement, {"project": project_id}) is None:
        handle.execute(_insert_if_missing(handle, project_id))
        handle.scalar(statement, {"project": project_id})


def limits(handle: Handle, project_id: str, user_id: str = WHOLE_PROJECT) -> SetLimits:
    """Return the limits set for a project, for a user in it, and for everybody; one statement."""
    found = SetLimits({}, {}, {})
    for is_of_class, owner, resource, limit in handle.execute(_LIMITS, {"project": project_id, "user": user_id}):
        place = found.default if is_of_class else found.project if owner == WHOLE_PROJECT else found.user
        place[resource] = limit
    return found


def limits_of_users(session: Session, project_id: str) -> dict[str, Limits]:
    """Return the limits set for users in a project, by user."""
    rows = session.execute(
        sa.select(QuotaLimitRow.user_id, QuotaLimitRow.resource, QuotaLimitRow.hard_limit).where(
            QuotaLimitRow.project_id == project_id, QuotaLimitRow.user_id != WHOLE_PROJECT
        )
    )
    found: dict[str, Limits] = {}
    for user_id, resource, limit in rows:
        found.setdefault(user_id, {})[resource] = limit
    return found


def set_limits(session: Session, project_id: str, user_id: str, changed: Mapping[str, int]) -> None:
    """Set some limits of a project or of a user in it; the caller holds the project's lock."""
    if not changed:
        return
    session.execute(
        sa.delete(QuotaLimitRow).where(
            QuotaLimitRow.project_id == project_id,
            QuotaLimitRow.user_id == user_id,
            QuotaLimitRow.resource.in_(list(changed)),
        )
    )
    session.execute(
        sa.insert(QuotaLimitRow),
        [
            {"project_id": project_id, "user_id": user_id, "resource": resource, "hard_limit": limit}
            for resource, limit in changed.items()
        ],
    )


def remove_limits(session: Session, project_id: str, user_id: str | None = None) -> None:
    """Forget the limits of a user in a project, or those of the project and of every user in it."""
    statement = sa.delete(QuotaLimitRow).where(QuotaLimitRow.project_id == project_id)
    if user_id is not None:
        statement = statement.where(QuotaLimitRow.user_id == user_id)
    session.execute(statement)


def class_limits(handle: Handle, class_name: str) -> Limits:
    """Return the limits set for a quota class."""
    rows = handle.execute(
        sa.select(QuotaClassLimitRow.resource, QuotaClassLimitRow.hard_limit).filter_by(class_name=class_name)
    )
    return dict(rows.all())


def set_class_limits(session: Session, class_name: str, changed: Mapping[str, int]) -> None:
    """Set some limits of a quota class."""
    if not changed:
        return
    lock(session, _CLASSES)
    session.execute(
        sa.delete(QuotaClassLimitRow).where(
            QuotaClassLimitRow.class_name == class_name, QuotaClassLimitRow.resource.in_(list(changed))
        )
    )
    session.execute(
        sa.insert(QuotaClassLimitRow),
        [{"class_name": class_name, "resource": name, "hard_limit": limit} for name, limit in changed.items()],
    )


def _insert_if_missing(handle: Handle, project_id: str) -> sa.Insert:
    # Each dialect is megabytes: only that of the database at hand is loaded.
    bind = handle.get_bind() if isinstance(handle, Session) else handle
    match bind.dialect.name:
        case "postgresql":
            from sqlalchemy.dialects import postgresql  # noqa: PLC0415

            return postgresql.insert(QuotaLockRow).values(project_id=project_id).on_conflict_do_nothing()
        case "sqlite":
            from sqlalchemy.dialects import sqlite  # noqa: PLC0415

            return sqlite.insert(QuotaLockRow).values(project_id=project_id).on_conflict_do_nothing()
        case _:
            return sa.insert(QuotaLockRow).values(project_id=project_id).prefix_with("IGNORE")
