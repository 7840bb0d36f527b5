"""Tokens that open consoles of one cell's instances: kept by their hashes, so that whoever reads them can use none.

One that has expired opens nothing, but is kept for a while: a console that was opened with it may be open as long as it
was not revoked, and what is not there was.
"""

import hashlib
from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import ConsoleTokenRow
from nova_lite.db.columns import utcnow
from nova_lite.model.console import Console, ConsoleToken
from nova_lite.storage import Handle

_T = cast(sa.Table, ConsoleTokenRow.__table__).c
_REVOKED = sa.delete(ConsoleTokenRow.__table__).where(_T.instance_uuid == sa.bindparam("uuid"))  # type: ignore[arg-type]
_KNOWN = sa.select(_T.token_hash).where(_T.token_hash.in_(sa.bindparam("hashes", expanding=True)))
#: Old tokens that go with each new one, at most.
_SWEPT = 100
#: How long a token is kept after it expired. Nobody can tell whether one that expired before that was revoked.
KEPT = timedelta(days=1)


def add(session: Session, token: str, meant: ConsoleToken) -> None:
    """Keep what a new ``token`` stands for, and forget some that expired long ago."""
    old = list(session.scalars(sa.select(_T.id).where(_T.expires_at < utcnow() - KEPT).limit(_SWEPT)))
    if old:
        session.execute(sa.delete(ConsoleTokenRow).where(ConsoleTokenRow.id.in_(old)))
    console = meant.console
    session.add(
        ConsoleTokenRow(
            token_hash=hash_of(token),
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
        ).where(_T.token_hash == hash_of(token), _T.expires_at > utcnow())
    ).one_or_none()  # fmt: skip
    if found is None:
        return None
    console = Console(found.kind, found.host, found.port, found.base_url, found.tls_port)
    return ConsoleToken(found.instance_uuid, found.instance_host, found.epoch, console, found.expires_at)


def known(handle: Handle, hashes: Collection[str]) -> set[str]:
    """Return those of ``hashes`` whose tokens are kept, even if they have expired: they were not revoked."""
    return set(handle.scalars(_KNOWN, {"hashes": list(hashes)}))


def revoke(handle: Handle, instance_uuid: str) -> None:
    """Forget every token of an instance."""
    handle.execute(_REVOKED, {"uuid": instance_uuid})


def hash_of(token: str) -> str:
    """Return by what a token is known."""
    # Tokens are long and random: what is to be guessed of them is not made easier by a quick hash.
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
