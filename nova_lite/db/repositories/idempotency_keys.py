"""Requests that clients named, so that they can send them again; in the API database.

Whoever works on one holds its lease under its own request id, and writes nothing once another one has taken it.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.api_tables import ApiWorkflowRow, IdempotencyKeyRow
from nova_lite.storage import epoch_now


@dataclass(frozen=True, slots=True)
class Named:
    """A request that was named before.

    ``request_id`` is of the one that works on it or did last; ``is_held`` says whether it may be at it still, for
    ``seconds_left`` at most; ``answer`` is sealed, None without one.
    """

    fingerprint: str
    request_id: str
    is_held: bool
    seconds_left: float
    answer: str | None


def take(
    session: Session, digest: str, fingerprint: str, request_id: str, *, lease_s: float, lifetime_s: float
) -> Named | None:
    """Return the request known as ``digest``; None when there was none: from now on it is that of ``request_id``.

    Raises Conflict when another one takes the same name this moment.
    """
    row = IdempotencyKeyRow
    session.execute(sa.delete(row).where(row.expires_at < epoch_now()))
    left = row.lease_until - epoch_now()
    known = session.execute(
        sa.select(row.fingerprint, row.request_id, left, row.answer).where(row.digest == digest)
    ).one_or_none()
    if known is not None:
        found_fingerprint, found_request, seconds_left, answer = known
        return Named(found_fingerprint, found_request, seconds_left > 0, max(0.0, float(seconds_left)), answer)
    values: dict[str, Any] = {
        "digest": digest,
        "fingerprint": fingerprint,
        "request_id": request_id,
        "lease_until": epoch_now() + lease_s,
        "expires_at": epoch_now() + lifetime_s,
    }
    try:
        session.execute(sa.insert(row).values(values))
    except IntegrityError as exc:
        raise errors.Conflict("Another request with the same idempotency key came at the same moment.") from exc
    return None


def take_over(session: Session, digest: str, left_by: str, request_id: str, *, lease_s: float) -> bool:
    """Let ``request_id`` work on what another request left without an answer; False when somebody else does."""
    row = IdempotencyKeyRow
    mine = (row.digest == digest, row.request_id == left_by, row.answer.is_(None), row.lease_until <= epoch_now())
    done: Any = session.execute(
        sa.update(row).where(*mine).values(request_id=request_id, lease_until=epoch_now() + lease_s)
    )
    return bool(done.rowcount == 1)


def keep_answer(session: Session, digest: str, request_id: str, answer: str) -> None:
    """Note what was answered, for those who ask again."""
    row = IdempotencyKeyRow
    session.execute(sa.update(row).where(row.digest == digest, row.request_id == request_id).values(answer=answer))


def leave(session: Session, digest: str, request_id: str) -> None:
    """Let others find out at once what became of a request that ended without a sure answer."""
    row = IdempotencyKeyRow
    mine = (row.digest == digest, row.request_id == request_id)
    session.execute(sa.update(row).where(*mine).values(lease_until=epoch_now()))


def forget(session: Session, digest: str, request_id: str) -> None:
    """Let a name be free again whose request came to nothing."""
    row = IdempotencyKeyRow
    session.execute(sa.delete(row).where(row.digest == digest, row.request_id == request_id))


def made_by(session: Session, request_id: str) -> str | None:
    """Return the first server that a request has made, or has had made; None: it made none."""
    made = sa.select(ApiWorkflowRow.subject).filter_by(request_id=request_id, kind="schedule")
    return session.scalar(made.limit(1))
