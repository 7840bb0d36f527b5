"""The change log: writers note what they changed, readers ask what was noted since."""

import enum
from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.placement.tables import ChangeRow
from nova_lite.storage import Reads

#: Entries kept; a reader that slept through more reads everything again.
KEPT = 100_000
_PRUNE_EVERY = 1_000


class Kind(enum.IntEnum):
    """What changed."""

    USAGE = 0
    PROVIDER = 1
    NAMES = 2
    NOTHING = 3


def note(session: Session, provider_ids: Iterable[int], kind: Kind) -> None:
    """Note that providers changed. The last statement of a writer: its numbers are then open for the shortest time."""
    session.flush()
    for provider_id in sorted(set(provider_ids)):
        result = session.execute(sa.insert(ChangeRow).values(provider_id=provider_id, kind=int(kind)))
        key = result.inserted_primary_key  # type: ignore[attr-defined]
        if key is not None and key[0] % _PRUNE_EVERY == 0:
            session.execute(sa.delete(ChangeRow).where(ChangeRow.seq < key[0] - KEPT))


def note_names(session: Session) -> None:
    """Note that the resource classes or traits changed."""
    note(session, (0,), Kind.NAMES)


_LOG = ChangeRow.__table__.c
_SINCE = sa.select(_LOG.seq, _LOG.provider_id, _LOG.kind).where(_LOG.seq >= sa.bindparam("last"))
_SINCE_AND_GAPS = sa.select(_LOG.seq, _LOG.provider_id, _LOG.kind).where(
    sa.or_(_LOG.seq >= sa.bindparam("last"), _LOG.seq.in_(sa.bindparam("gaps", expanding=True)))
)
_IN_ORDER = {
    gaps: statement.order_by(_LOG.seq).limit(sa.bindparam("most"))
    for gaps, statement in ((False, _SINCE), (True, _SINCE_AND_GAPS))
}


def since(connection: Reads, last: int, gaps: Collection[int], limit: int) -> list[tuple[int, int, int]]:
    """Return (number, provider id, kind) of entry ``last``, of those after it, and of those in ``gaps`` there now."""
    values: dict[str, object] = {"last": last, "most": limit}
    if gaps:
        values["gaps"] = sorted(gaps)
    rows = connection.execute(_IN_ORDER[bool(gaps)], values)
    return [(seq, provider_id, kind) for seq, provider_id, kind in rows]


def recent(connection: Reads, window: int) -> list[int]:
    """Return the numbers of the youngest entries, at most ``window`` of them, oldest first."""
    rows = connection.execute(sa.select(_LOG.seq).order_by(_LOG.seq.desc()).limit(window))
    return sorted(seq for (seq,) in rows)


def settle(session: Session, seq: int) -> None:
    """Take the number ``seq`` for nothing, so that nobody can use it any more; waits for who holds it now."""
    session.execute(sa.insert(ChangeRow).values(seq=seq, provider_id=0, kind=int(Kind.NOTHING)))
