"""The change log: writers note what they changed, readers ask what was noted since."""

import enum
import random
from collections.abc import Collection, Iterable

import sqlalchemy as sa

from nova_lite.placement.tables import CHANGES
from nova_lite.storage import Handle

#: Entries kept; a reader that slept through more reads everything again.
KEPT = 100_000
#: Old entries are removed whenever this many new ones have been noted.
_PRUNE_EVERY = 1_000
#: Where a connection remembers what it noted last.
_LAST = "nova_lite_last_change"

#: Number and token of a change: by these a lost commit is decided.
Mark = tuple[int, int]


class Kind(enum.IntEnum):
    """What changed."""

    USAGE = 0
    PROVIDER = 1
    NAMES = 2
    NOTHING = 3


_NOTE = sa.insert(CHANGES)
_PRUNE = sa.delete(CHANGES).where(CHANGES.c.seq < sa.bindparam("oldest", type_=sa.BigInteger))
_TOKEN = sa.select(CHANGES.c.token).where(CHANGES.c.seq == sa.bindparam("seq", type_=sa.BigInteger))
_COLUMNS = (CHANGES.c.seq, CHANGES.c.provider_id, CHANGES.c.kind)
_SINCE = (
    sa.select(*_COLUMNS)
    .where(CHANGES.c.seq >= sa.bindparam("last", type_=sa.BigInteger))
    .order_by(CHANGES.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_SINCE_AND_GAPS = (
    sa.select(*_COLUMNS)
    .where(
        sa.or_(
            CHANGES.c.seq >= sa.bindparam("last", type_=sa.BigInteger),
            CHANGES.c.seq.in_(sa.bindparam("gaps", expanding=True)),
        )
    )
    .order_by(CHANGES.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)

_BOUNDS = sa.select(sa.func.min(CHANGES.c.seq), sa.func.max(CHANGES.c.seq), sa.func.count())
_STEPS = sa.select(CHANGES.c.seq, sa.func.lag(CHANGES.c.seq).over(order_by=CHANGES.c.seq).label("before")).subquery()
_HOLES = sa.select(_STEPS.c.before + 1, _STEPS.c.seq - 1).where(_STEPS.c.seq - _STEPS.c.before > 1)


def note(handle: Handle, provider_ids: Iterable[int], kind: Kind) -> None:
    """Note that providers changed. The last statement of a writer: its numbers are then open for the shortest time."""
    token = random.getrandbits(62)
    rows = [
        {"provider_id": provider_id, "kind": int(kind), "token": token} for provider_id in sorted(set(provider_ids))
    ]
    if not rows:
        return
    # The first goes alone, for its number: drivers tell that of one row only.
    seq = handle.execute(_NOTE, rows[0]).inserted_primary_key[0]  # type: ignore[attr-defined]
    if len(rows) > 1:
        handle.execute(_NOTE, rows[1:])
    handle.info[_LAST] = (seq, token)
    if seq % _PRUNE_EVERY < len(rows):
        handle.execute(_PRUNE, {"oldest": seq - KEPT})


def note_names(handle: Handle) -> None:
    """Note that the resource classes or traits changed."""
    note(handle, (0,), Kind.NAMES)


def last_noted(handle: Handle) -> Mark | None:
    """Return the mark of the last note made through ``handle``, and forget it."""
    mark: Mark | None = handle.info.pop(_LAST, None)
    return mark


def since(handle: Handle, last: int, gaps: Collection[int], limit: int) -> list[tuple[int, int, int]]:
    """Return (number, provider id, kind) of entry ``last``, of those after it, and of those in ``gaps`` there now."""
    if gaps:
        rows = handle.execute(_SINCE_AND_GAPS, {"last": last, "gaps": sorted(gaps), "most": limit})
    else:
        rows = handle.execute(_SINCE, {"last": last, "most": limit})
    return [(seq, provider_id, kind) for seq, provider_id, kind in rows]


def recent(handle: Handle, window: int) -> list[int]:
    """Return the numbers of the youngest entries, at most ``window`` of them, oldest first."""
    return sorted(handle.scalars(sa.select(CHANGES.c.seq).order_by(CHANGES.c.seq.desc()).limit(window)))


def bounds(handle: Handle) -> tuple[int, int, int]:
    """Return the oldest and the youngest number of the log, and how many there are; zeros for an empty log."""
    oldest, youngest, count = handle.execute(_BOUNDS).one()
    return oldest or 0, youngest or 0, count


def holes(handle: Handle) -> list[tuple[int, int]]:
    """Return (first, last) number of every stretch of numbers that the log lacks between those it has."""
    return [(first, last) for first, last in handle.execute(_HOLES)]


def settle(handle: Handle, seq: int) -> None:
    """Take the number ``seq`` for nothing, so that nobody can use it any more; waits for who holds it now.

    Raises IntegrityError when it is taken: by what has been committed, or for nothing already.
    """
    handle.execute(_NOTE, {"seq": seq, "provider_id": 0, "kind": int(Kind.NOTHING), "token": 0})


def is_noted(handle: Handle, mark: Mark) -> bool:
    """Return whether the change of that mark has been committed."""
    seq, token = mark
    return handle.scalar(_TOKEN, {"seq": seq}) == token
