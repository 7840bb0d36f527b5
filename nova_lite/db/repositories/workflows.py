"""Workflow records: adding, claiming by lease, recording progress. The same SQL serves the API and cell databases.

``Row`` is ``ApiWorkflowRow`` or ``CellWorkflowRow``. Whoever records progress names itself; when the lease is no
longer its own, nothing is written and False comes back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.columns import WorkflowColumns
from nova_lite.model.workflow import OPEN, Status, Workflow
from nova_lite.storage import Database, Handle, epoch_now, unanswered

#: The table: the API database's or a cell's.
Row = type[WorkflowColumns]

#: Seconds a new workflow is left to whoever is nudged, before scans take it up.
_NUDGE_GRACE_S = 1.0
#: Who holds the lease of a workflow that waits for its time; no conductor is called so.
_PARKED = "parked"


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is run for each step of a workflow, made once a table. ``record`` writes the columns that it is run with."""

    add: sa.Insert
    claim: sa.Update
    claimed: sa.Select[Any]
    record: sa.Update


_known: dict[Row, _Statements] = {}


def _of(row: Row) -> _Statements:
    if row not in _known:
        _known[row] = _made(cast(sa.Table, cast(Any, row).__table__))
    return _known[row]


def _made(table: sa.Table) -> _Statements:
    column = table.c
    this = column.uuid == sa.bindparam("this")
    is_open = column.status.in_(OPEN)
    return _Statements(
        add=unanswered(
            sa.insert(table).values(
                status=Status.PENDING,
                step=0,
                attempt=0,
                deadline=epoch_now() + sa.bindparam("within_s", type_=sa.Double()),
                lease_until=epoch_now() + sa.bindparam("alone_s", type_=sa.Double()),
            )
        ),
        claim=sa.update(table)
        .where(this, is_open, sa.or_(column.lease_owner.is_(None), column.lease_until < epoch_now()))
        .values(
            status=sa.case((column.status == Status.PENDING, Status.RUNNING), else_=column.status),
            lease_until=epoch_now() + sa.bindparam("lease_s", type_=sa.Double()),
            attempt=column.attempt + 1,
        ),
        claimed=sa.select(table, (column.deadline - epoch_now()).label("seconds_left")).where(this),
        record=sa.update(table).where(
            this, column.lease_owner == sa.bindparam("owner"), column.step == sa.bindparam("expected"), is_open
        ),
    )


def add(handle: Handle, row: Row, workflow: Workflow, *, timeout_s: float, held_back_s: float | None = None) -> None:
    """Record a new workflow, due ``timeout_s`` from now by the database's clock.

    It is taken up in ``held_back_s`` at the earliest, unless it is hastened; where that is None, as soon as may be.
    """
    handle.execute(
        _of(row).add,
        {
            "uuid": workflow.uuid,
            "kind": workflow.kind,
            "subject": workflow.subject,
            "project_id": workflow.project_id,
            "user_id": workflow.user_id,
            "request_id": workflow.request_id,
            "inputs": workflow.inputs,
            "facts": workflow.facts,
            "within_s": timeout_s,
            "lease_owner": None if held_back_s is None else _PARKED,
            "alone_s": _NUDGE_GRACE_S if held_back_s is None else held_back_s,
        },
    )


def claim(handle: Handle, row: Row, uuid: str, *, owner: str, lease_s: float) -> tuple[Workflow, float] | None:
    """Take the lease of an open workflow nobody holds, counting one more attempt at its step.

    Returns the workflow and the seconds left to its deadline (negative when past), or None when it is not to be had.
    """
    taken = handle.execute(_of(row).claim, {"this": uuid, "lease_owner": owner, "lease_s": lease_s})
    if taken.rowcount != 1:  # type: ignore[attr-defined]
        return None
    found = handle.execute(_of(row).claimed, {"this": uuid}).one_or_none()
    if found is None or found.lease_owner != owner:  # Outside a transaction it may have been taken from us already.
        return None
    return _workflow(found), float(found.seconds_left)


def record(handle: Handle, row: Row, uuid: str, owner: str, *, expect_step: int, **values: Any) -> bool:
    """Write progress of a workflow whose lease ``owner`` holds and that stands at ``expect_step``.

    False when it was taken over or superseded, or when an earlier attempt to write, believed lost, had worked.
    """
    done = handle.execute(_of(row).record, {"this": uuid, "owner": owner, "expected": expect_step, **values})
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def record_alone(db: Database, row: Row, uuid: str, owner: str, *, expect_step: int, **values: Any) -> bool:
    """Write progress as ``record`` does, in a transaction of its own."""
    done = db.write_one(_of(row).record, {"this": uuid, "owner": owner, "expected": expect_step, **values})
    return done == 1


def holds(session: Session, row: Row, uuid: str, owner: str) -> bool:
    """Return whether ``owner`` has the lease of an open workflow."""
    found = session.scalar(
        sa.select(row.id).where(
            row.uuid == uuid, row.lease_owner == owner, row.lease_until > epoch_now(), row.status.in_(OPEN)
        )
    )
    return found is not None


def park(session: Session, row: Row, uuid: str, owner: str, *, delay_s: float) -> None:
    """Give a lease back and have the workflow taken up again in ``delay_s``."""
    session.execute(
        sa.update(row)
        .where(row.uuid == uuid, row.lease_owner == owner, row.status.in_(OPEN))
        .values(lease_owner=_PARKED, lease_until=epoch_now() + delay_s)
    )


def hold_back(session: Session, row: Row, uuid: str, *, delay_s: float) -> None:
    """Have a new workflow taken up in ``delay_s`` at the earliest, unless it is hastened."""
    session.execute(
        sa.update(row).where(row.uuid == uuid).values(lease_owner=_PARKED, lease_until=epoch_now() + delay_s)
    )


def hasten(session: Session, row: Row, uuid: str, *, facts: Mapping[str, object] | None = None) -> None:
    """Have a parked workflow taken up again at once; ``facts`` are all it is to know, None: what it knows already."""
    known = {} if facts is None else {"facts": facts}
    session.execute(
        sa.update(row)
        .where(row.uuid == uuid, row.lease_owner == _PARKED, row.status.in_(OPEN))
        .values(lease_until=epoch_now() - 1, **known)
    )


def hasten_others(
    session: Session, row: Row, subject: str, *, spare: Collection[str], of_those: Collection[str]
) -> list[str]:
    """Have parked workflows about ``subject`` taken up again at once; return them.

    Of kinds to ``spare`` only ``of_those``.
    """
    wanted = sa.or_(row.kind.not_in(spare), row.uuid.in_(of_those))
    parked = (row.subject == subject, row.lease_owner == _PARKED, row.status.in_(OPEN), wanted)
    uuids = list(session.scalars(sa.select(row.uuid).where(*parked).with_for_update()))
    if uuids:
        session.execute(sa.update(row).where(row.uuid.in_(uuids), *parked).values(lease_until=epoch_now() - 1))
    return uuids


def renew(session: Session, row: Row, owner: str, uuids: Collection[str], *, lease_s: float) -> None:
    """Prolong the leases that ``owner`` holds of ``uuids``: those it runs."""
    session.execute(
        sa.update(row)
        .where(row.uuid.in_(uuids), row.lease_owner == owner, row.status.in_(OPEN))
        .values(lease_until=epoch_now() + lease_s)
    )


def claimable(session: Session, row: Row, *, limit: int) -> list[str]:
    """Return the UUIDs of open workflows that nobody runs, oldest first."""
    return list(
        session.scalars(
            sa.select(row.uuid).where(row.status.in_(OPEN), row.lease_until < epoch_now()).order_by(row.id).limit(limit)
        )
    )


def count_open(session: Session, row: Row) -> dict[tuple[str, str], int]:
    """Return how many workflows have not ended, by kind and status."""
    found = sa.select(row.kind, row.status, sa.func.count()).where(row.status.in_(OPEN)).group_by(row.kind, row.status)
    return {(kind, status): count for kind, status, count in session.execute(found)}


def overdue(session: Session, row: Row) -> tuple[int, float]:
    """Return how many open workflows nobody runs though they could go on, and for how many seconds the first has."""
    since = sa.func.coalesce(epoch_now() - sa.func.min(row.lease_until), 0.0)
    found = sa.select(sa.func.count(), since).where(row.status.in_(OPEN), row.lease_until < epoch_now())
    count, seconds = session.execute(found).one()
    return int(count), float(seconds)


def supersede(session: Session, row: Row, subject: str, *, spare: Collection[str] = ()) -> None:
    """Close every open workflow about ``subject``, but for kinds to ``spare``.

    Its runner stops at its next record, and undoes nothing.
    """
    wanted = (row.subject == subject, row.status.in_(OPEN), row.kind.not_in(spare))
    session.execute(sa.update(row).where(*wanted).values(status=Status.SUPERSEDED))


def expire(session: Session, row: Row, subject: str, *, spare: Collection[str]) -> list[str]:
    """Have the time of open workflows about ``subject`` be over, but for kinds to ``spare``; return them, once each.

    Whoever runs one loses its lease. Who takes it up next undoes it, or goes on where there is no way back.
    """
    wanted = (row.subject == subject, row.status.in_(OPEN), row.kind.not_in(spare), row.deadline > epoch_now())
    uuids = list(session.scalars(sa.select(row.uuid).where(*wanted).with_for_update()))
    session.execute(
        sa.update(row)
        .where(row.uuid.in_(uuids), *wanted)
        .values(deadline=epoch_now() - 1, lease_owner=_PARKED, lease_until=epoch_now() - 1)
    )
    return uuids


def withdraw(handle: Handle, row: Row, uuid: str) -> bool:
    """Take back a workflow that nobody has begun to run; False when somebody has."""
    done = handle.execute(
        sa.update(row).where(row.uuid == uuid, row.status == Status.PENDING).values(status=Status.SUPERSEDED)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def others_about(session: Session, row: Row, subject: str, uuid: str, kinds: Collection[str]) -> bool:
    """Return whether another open workflow than ``uuid`` of one of ``kinds`` is about ``subject``."""
    found = sa.select(row.id).where(row.subject == subject, row.uuid != uuid, row.kind.in_(kinds), row.status.in_(OPEN))
    return session.scalar(found.limit(1)) is not None


def newer_about(session: Session, row: Row, subject: str, uuid: str, kinds: Collection[str]) -> list[Workflow]:
    """Return open workflows of ``kinds`` about ``subject`` that were added after ``uuid``; all if that is unknown."""
    older = sa.select(row.id).where(row.uuid == uuid).scalar_subquery()
    which = sa.select(row).where(row.subject == subject, row.kind.in_(kinds), row.status.in_(OPEN), row.uuid != uuid)
    return [_workflow(found) for found in session.scalars(which.where(row.id > sa.func.coalesce(older, 0)))]


def is_behind(session: Session, row: Row, subject: str, uuid: str, kinds: Collection[str]) -> bool:
    """Return whether an open workflow of ``kinds`` about ``subject`` was added before ``uuid``."""
    mine = sa.select(row.id).where(row.uuid == uuid).scalar_subquery()
    which = sa.select(row.id).where(row.subject == subject, row.kind.in_(kinds), row.status.in_(OPEN), row.id < mine)
    return session.scalar(which.limit(1)) is not None


def about(session: Session, row: Row, subject: str) -> list[Workflow]:
    """Return every workflow about ``subject``, newest first."""
    return [
        _workflow(found) for found in session.scalars(sa.select(row).filter_by(subject=subject).order_by(row.id.desc()))
    ]


def subjects_at_work(session: Session, row: Row, subjects: Sequence[str]) -> set[str]:
    """Return those of ``subjects`` that an open workflow is about."""
    return set(
        session.scalars(sa.select(row.subject).where(row.subject.in_(subjects), row.status.in_(OPEN)).distinct())
    )


def get(session: Session, row: Row, uuid: str) -> Workflow | None:
    """Return one workflow, or None."""
    found = session.scalar(sa.select(row).filter_by(uuid=uuid))
    return None if found is None else _workflow(found)


def _workflow(row: Any) -> Workflow:
    facts: Mapping[str, object] = row.facts
    return Workflow(
        uuid=row.uuid,
        kind=row.kind,
        subject=row.subject,
        project_id=row.project_id,
        user_id=row.user_id,
        request_id=row.request_id,
        inputs=row.inputs,
        deadline=row.deadline,
        status=Status(row.status),
        step=row.step,
        attempt=row.attempt,
        facts=dict(facts),
        reason=row.reason,
        lease_owner=row.lease_owner,
    )
