"""The password that was set inside a server, sealed with its user's public key: nobody else can read it."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import InstanceRow


def get(session: Session, instance_uuid: str) -> str | None:
    """Return what is kept of a server, None when nothing is."""
    return session.scalar(sa.select(InstanceRow.sealed_password).where(*_is(instance_uuid)))


def put(session: Session, instance_uuid: str, sealed: str | None) -> None:
    """Keep a password, or none; nothing of a server that is gone."""
    session.execute(sa.update(InstanceRow).where(*_is(instance_uuid)).values(sealed_password=sealed))


def put_first(session: Session, instance_uuid: str, sealed: str) -> bool:
    """Keep a password where none is kept; False where one is, or the server is gone."""
    row = InstanceRow.sealed_password
    is_free = sa.or_(row.is_(None), row == "")
    done = session.execute(sa.update(InstanceRow).where(*_is(instance_uuid), is_free).values(sealed_password=sealed))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _is(uuid: str) -> tuple[sa.ColumnElement[bool], ...]:
    return InstanceRow.uuid == uuid, InstanceRow.deleted.is_(False)
