"""Tokens that open consoles of one cell's instances: kept by their hashes, so that whoever reads them can use none."""

import hashlib
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import ConsoleTokenRow
from nova_lite.db.columns import utcnow
from nova_lite.model.console import Console, ConsoleToken
from nova_lite.storage import Handle

_T = cast(sa.Table, ConsoleTokenRow.__table__).c
_REVOKED = sa.delete(ConsoleTokenRow.__table__).where(_T.instance_uuid == sa.bindparam("uuid"))  # type: ignore[arg-type]
#: Expired tokens that go with each new one, at most.
_SWEPT = 100


def add(session: Session, token: str, meant: ConsoleToken) -> None:
    """Keep what a new ``token`` stands for, and forget some that have expired."""
    expired = list(session.scalars(sa.select(_T.id).where(_T.expires_at < utcnow()).limit(_SWEPT)))
    if expired:
        session.execute(sa.delete(ConsoleTokenRow).where(ConsoleTokenRow.id.in_(expired)))
    console = meant.console
    session.add(
        ConsoleTokenRow(
            token_hash=_hash(token),
            instance_uuid=meant.instance_uuid,
            instance_host=meant.instance_host,
            epoch=meant.epoch,
            kind=console.kind,
            host=console.host,
            port=console.port,
            tls_port=console.tls_port,
            base_url=console.base_url,
            expires_at=meant.expires_at,
        )
    )


def get(handle: Handle, token: str) -> ConsoleToken | None:
    """Return what a token stands for; None when there is none such, or it has expired or was revoked."""
    found: Any = handle.execute(
        sa.select(
            _T.instance_uuid, _T.instance_host, _T.epoch, _T.kind, _T.host, _T.port, _T.tls_port, _T.base_url,
            _T.expires_at,
        ).where(_T.token_hash == _hash(token), _T.expires_at > utcnow())
    ).one_or_none()  # fmt: skip
    if found is None:
        return None
    console = Console(found.kind, found.host, found.port, found.base_url, found.tls_port)
    return ConsoleToken(found.instance_uuid, found.instance_host, found.epoch, console, found.expires_at)


def revoke(handle: Handle, instance_uuid: str) -> None:
    """Forget every token of an instance."""
    handle.execute(_REVOKED, {"uuid": instance_uuid})


def _hash(token: str) -> str:
    # Tokens are long and random: what is to be guessed of them is not made easier by a quick hash.
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
