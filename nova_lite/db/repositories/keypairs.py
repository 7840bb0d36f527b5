"""Users' keypairs, in the API database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import KeypairRow
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.storage import Handle


@dataclass(frozen=True, slots=True)
class Keypair:
    """The public half of a key; the private one is kept by its user."""

    id: int
    user_id: str
    name: str
    type: str
    fingerprint: str
    public_key: str
    created_at: datetime


_KEYPAIRS = cast(sa.Table, KeypairRow.__table__)
#: Made once; read without the ORM, for lists may be long.
_OF_USER = sa.select(_KEYPAIRS).where(_KEYPAIRS.c.user_id == sa.bindparam("owner"))
_ONE = _OF_USER.where(_KEYPAIRS.c.name == sa.bindparam("wanted"))
_BY_NAME = _OF_USER.order_by(_KEYPAIRS.c.name)


def get(handle: Handle, user_id: str, name: str) -> Keypair:
    """Return a user's keypair; raises NotFound."""
    row = handle.execute(_ONE, {"owner": user_id, "wanted": name}).one_or_none()
    if row is None:
        raise _missing(user_id, name)
    return _keypair(row)


def page(handle: Handle, user_id: str, *, marker: str | None = None, limit: int | None = None) -> list[Keypair]:
    """Return a user's keypairs by name, after ``marker``; raises Invalid when that names none."""
    statement = _BY_NAME if limit is None else _BY_NAME.limit(limit)
    if marker is not None:
        if handle.execute(_ONE, {"owner": user_id, "wanted": marker}).one_or_none() is None:
            raise Invalid(f"marker: keypair {marker[:255]!r} could not be found")
        statement = statement.where(_KEYPAIRS.c.name > marker)
    return [_keypair(row) for row in handle.execute(statement, {"owner": user_id})]


def count(handle: Handle, user_id: str) -> int:
    """Return how many keypairs a user has."""
    return handle.scalar(sa.select(sa.func.count()).select_from(KeypairRow).filter_by(user_id=user_id)) or 0


def add(session: Session, *, user_id: str, name: str, kind: str, fingerprint: str, public_key: str) -> Keypair:
    """Record a keypair of type ``kind``; raises Conflict when the user has one of that name."""
    row = KeypairRow(user_id=user_id, name=name, type=kind, fingerprint=fingerprint, public_key=public_key)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as exc:
        raise Conflict(f"Key pair '{name}' already exists.") from exc
    return _keypair(row)


def remove(session: Session, user_id: str, name: str) -> None:
    """Delete a user's keypair; raises NotFound."""
    done = session.execute(sa.delete(KeypairRow).where(KeypairRow.user_id == user_id, KeypairRow.name == name))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise _missing(user_id, name)


def _missing(user_id: str, name: str) -> NotFound:
    return NotFound(f"Keypair {name[:255]} not found for user {user_id}")


def _keypair(row: KeypairRow | sa.Row[Any]) -> Keypair:
    return Keypair(row.id, row.user_id, row.name, row.type, row.fingerprint, row.public_key, row.created_at)
