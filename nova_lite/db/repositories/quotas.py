"""Quota limits, and the lock under which a project's use is counted; both in the API database."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import QuotaLimitRow, QuotaLockRow


def lock(session: Session, project_id: str) -> None:
    """Hold the project's lock until the transaction ends: one counts and inserts at a time."""
    held = session.scalar(sa.select(QuotaLockRow).filter_by(project_id=project_id).with_for_update())
    if held is None:
        session.execute(_insert_if_missing(session, project_id))
        session.scalar(sa.select(QuotaLockRow).filter_by(project_id=project_id).with_for_update())


def limits(session: Session, project_id: str, user_id: str = "") -> dict[str, int]:
    """Return the limits set for a project (or for a user in it), by resource; those not set are not in it."""
    rows = session.execute(
        sa.select(QuotaLimitRow.resource, QuotaLimitRow.hard_limit).filter_by(project_id=project_id, user_id=user_id)
    )
    return dict(rows.all())


def _insert_if_missing(session: Session, project_id: str) -> sa.Insert:
    match session.get_bind().dialect.name:
        case "postgresql":
            return postgresql.insert(QuotaLockRow).values(project_id=project_id).on_conflict_do_nothing()
        case "sqlite":
            return sqlite.insert(QuotaLockRow).values(project_id=project_id).on_conflict_do_nothing()
        case _:
            return mysql.insert(QuotaLockRow).values(project_id=project_id).prefix_with("IGNORE")
