"""Users' public keys; in the API database."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import KeypairRow
from nova_lite.errors import NotFound


@dataclass(frozen=True, slots=True)
class Keypair:
    """A public key of a user."""

    name: str
    public_key: str


def get(session: Session, user_id: str, name: str) -> Keypair:
    """Return a user's key; raises NotFound."""
    row = session.scalar(sa.select(KeypairRow).filter_by(user_id=user_id, name=name))
    if row is None:
        raise NotFound(f"Keypair {name} not found for user {user_id}")
    return Keypair(row.name, row.public_key)
