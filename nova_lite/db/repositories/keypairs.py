"""Users' keypairs, in the API database."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import KeypairRow
from nova_lite.errors import Conflict, Invalid, NotFound


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


def get(session: Session, user_id: str, name: str) -> Keypair:
    """Return a user's keypair; raises NotFound."""
    row = session.scalar(sa.select(KeypairRow).filter_by(user_id=user_id, name=name))
    if row is None:
        raise _missing(user_id, name)
    return _keypair(row)


def page(session: Session, user_id: str, *, marker: str | None = None, limit: int | None = None) -> list[Keypair]:
    """Return a user's keypairs by name, after ``marker``; raises Invalid when that names none."""
    statement = sa.select(KeypairRow).filter_by(user_id=user_id).order_by(KeypairRow.name).limit(limit)
    if marker is not None:
        if session.scalar(sa.select(KeypairRow.id).filter_by(user_id=user_id, name=marker)) is None:
            raise Invalid(f"marker: keypair {marker[:255]!r} could not be found")
        statement = statement.where(KeypairRow.name > marker)
    return [_keypair(row) for row in session.scalars(statement)]


def count(session: Session, user_id: str) -> int:
    """Return how many keypairs a user has."""
    return session.scalar(sa.select(sa.func.count()).select_from(KeypairRow).filter_by(user_id=user_id)) or 0


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


def _keypair(row: KeypairRow) -> Keypair:
    return Keypair(row.id, row.user_id, row.name, row.type, row.fingerprint, row.public_key, row.created_at)
