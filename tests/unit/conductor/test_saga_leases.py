"""Who runs a workflow: leases, scans, wake-ups, and what is left when a conductor dies."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import saga
from nova_lite.conductor.saga import Definition, Record, Step
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.unit.conductor.sagas import (
    THREE,
    Diary,
    DiaryWork,
    add,
    db,
    doing,
    expire_leases,
    get,
    killed_once,
    new_runner,
    no_waiting,
    wait_until,
)

__all__ = ["db", "no_waiting"]


def test_a_lease_keeps_others_away(db: Database) -> None:
    workflow = add(db)
    with db.writer() as session:
        assert workflows.claim(session, CellWorkflowRow, workflow, owner="other", lease_s=60) is not None
    diary = Diary()
    new_runner(db, diary).run(workflow)
    assert diary.entries == []


def test_a_superseded_workflow_stops_without_undoing(db: Database) -> None:
    workflow = add(db)
    diary = Diary()

    def supersede(kind: str, step: str) -> None:
        if step == "a":
            with db.writer() as session:
                workflows.supersede(session, CellWorkflowRow, get(db, workflow).subject)

    with pytest.raises(saga.LeaseLost):
        new_runner(db, diary, after_record=supersede).run(workflow)
    assert diary.entries == ["a", "b"]
    assert get(db, workflow).status is Status.SUPERSEDED


def _kill_at(kind: str) -> list[str]:
    """Return every place where a runner may die: in each step, after each record, in each undo."""
    return ["a", "b", "c", "after a", "after b"] if kind == "well" else [
        "a", "b", "undo b", "undo a", "after a", "after undo b", "after undo a", "failed: no",
    ]  # fmt: skip


@pytest.mark.parametrize("place", _kill_at("well"))
def test_a_killed_conductor_is_resumed_where_it_stood(db: Database, place: str) -> None:
    workflow = add(db)
    killed_once(db, workflow, place, Diary())
    diary = Diary()
    expire_leases(db)
    new_runner(db, diary, owner="two").run(workflow)
    assert get(db, workflow).status is Status.DONE
    repeated = place if not place.startswith("after") else None
    assert diary.entries[:1] == ([repeated] if repeated else diary.entries[:1])
    assert diary.entries[-1] == "c"


@pytest.mark.parametrize("place", _kill_at("badly"))
def test_a_conductor_killed_while_undoing_is_resumed(db: Database, place: str) -> None:
    workflow = add(db)
    killed_once(db, workflow, place, Diary(raising={"b": [errors.Invalid("no")]}))
    diary = Diary(raising={"b": [errors.Invalid("no")]})
    expire_leases(db)
    new_runner(db, diary, owner="two").run(workflow)
    ended = get(db, workflow)
    assert (ended.status, ended.reason) == (Status.FAILED, "no")
    assert diary.entries[-1] == "failed: no"


def test_a_step_knows_when_it_may_have_run_before(db: Database) -> None:
    seen: list[bool] = []
    told = Definition[Diary]("three", (Step("a", lambda work: seen.append(work.may_have_run)),))
    workflow = add(db)
    runner = new_runner(db, Diary())
    runner.definitions = {"three": told}
    with db.writer() as session:
        workflows.claim(session, CellWorkflowRow, workflow, owner="dead", lease_s=-1)
    runner.run(workflow)
    assert seen == [True]


def test_scans_take_up_what_nobody_was_told_of(db: Database) -> None:
    diary = Diary()
    workflow = add(db)
    expire_leases(db)
    runner = new_runner(db, diary)
    runner.start()
    try:
        assert wait_until(lambda: get(db, workflow).status is Status.DONE)
    finally:
        runner.stop()
    assert diary.entries == ["a", "b", "c"]


def test_a_woken_workflow_runs_once_however_often_it_is_woken(db: Database) -> None:
    diary = Diary()
    workflow = add(db)
    runner = new_runner(db, diary)
    for _ in range(5):
        runner.wake(workflow)
    assert wait_until(lambda: get(db, workflow).status is Status.DONE)
    runner.stop()
    assert diary.entries == ["a", "b", "c"]


def test_what_is_not_begun_when_it_stops_is_named_for_others(db: Database) -> None:
    entered, going_on = threading.Event(), threading.Event()

    def hold(kind: str, step: str) -> None:
        entered.set()
        assert going_on.wait(480)

    first, second, third = (add(db) for _ in range(3))
    runner = new_runner(db, Diary(), threads=1, after_record=hold, scan_interval_s=lambda: 3600.0)
    runner.wake(first)
    assert entered.wait(480)
    runner.wake(second)
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    assert wait_until(lambda: runner._is_stopping)
    going_on.set()
    stopping.join(480)
    runner.wake(third)
    assert runner.not_begun == sorted([second, third])
    assert get(db, first).status is Status.DONE


def test_a_run_that_ends_at_a_bug_gives_its_lease_up(db: Database) -> None:
    """The lease of what does not run here is not renewed, or nobody could ever go on."""
    workflow = add(db, "unknown kind")
    runner = new_runner(db, Diary(), lease_s=0.3, scan_interval_s=lambda: 0.02)
    runner.start()
    try:
        assert wait_until(lambda: get(db, workflow).attempt >= 1)
        runner.definitions = {"unknown kind": dataclasses.replace(THREE, kind="unknown kind")}
        assert wait_until(lambda: get(db, workflow).status is Status.DONE)
    finally:
        runner.stop()


def test_the_lease_of_a_long_step_is_renewed(db: Database) -> None:
    workflow = add(db)
    diary = Diary()
    seen: list[bool] = []

    def long_step(work: DiaryWork) -> None:
        began = _lease_until(db)
        seen.append(wait_until(lambda: _lease_until(db) > began))

    runner = new_runner(db, diary, lease_s=2.0)
    runner.definitions = {"three": Definition("three", (Step("long", long_step),))}
    runner.start()
    try:
        runner.wake(workflow)
        assert wait_until(lambda: get(db, workflow).status is Status.DONE)
    finally:
        runner.stop()
    assert seen == [True]


def test_a_record_whose_commit_was_answered_by_nothing_happens_once(db: Database) -> None:
    """The database did it and its answer was lost: doing it again must not write over it."""
    happened: list[str] = []

    def count(work: DiaryWork, session: Session) -> dict[str, object]:
        happened.append("count")
        return {"count": len(happened)}

    workflow = add(db)
    told = Definition[Diary](
        "three", (Record("count", count, no_way_back=True), Step("a", doing("a"), no_way_back=True))
    )
    with contextlib.closing(_Forgetful(db, forget=1)) as forgetful:
        runner = new_runner(forgetful, Diary())
        runner.definitions = {"three": told}
        with pytest.raises(saga.LeaseLost):
            runner.run(workflow)
        assert happened == ["count", "count"]
        assert (get(db, workflow).step, get(db, workflow).facts) == (1, {"count": 1})
        expire_leases(db)
        runner.run(workflow)
    assert (get(db, workflow).status, get(db, workflow).facts) == (Status.DONE, {"count": 1, "a": True})


def test_a_conductor_that_lost_its_lease_undoes_nothing(db: Database) -> None:
    workflow = add(db)
    diary = Diary(raising={"b": [errors.Invalid("no")]})

    def take_over(kind: str, step: str) -> None:
        if step == "undo b":
            expire_leases(db)
            with db.writer() as session:
                assert workflows.claim(session, CellWorkflowRow, workflow, owner="two", lease_s=60) is not None

    with pytest.raises(saga.LeaseLost):
        new_runner(db, diary, after_record=take_over).run(workflow)
    assert diary.entries == ["a", "b", "undo b"]


def test_parking_fits_the_longest_owner(db: Database) -> None:
    workflow = add(db)
    owner = "o" * 64
    with db.writer() as session:
        assert workflows.claim(session, CellWorkflowRow, workflow, owner=owner, lease_s=60) is not None
        workflows.park(session, CellWorkflowRow, workflow, owner, delay_s=60)
    parked = get(db, workflow)
    assert parked.lease_owner is not None
    assert parked.lease_owner != owner
    assert len(parked.lease_owner) <= 64


def test_a_ticker_survives_what_its_function_raises(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that met a broken table must not leave the conductor deaf."""
    workflow = add(db)
    expire_leases(db)
    claimable = workflows.claimable
    failures: list[Exception] = [ValueError("no such column")]

    def failing(*args: Any, **options: Any) -> list[str]:
        if failures:
            raise failures.pop()
        return claimable(*args, **options)

    monkeypatch.setattr(workflows, "claimable", failing)
    runner = new_runner(db, Diary(), scan_interval_s=lambda: 0.02)
    runner.start()
    try:
        assert wait_until(lambda: get(db, workflow).status is Status.DONE)
    finally:
        runner.stop()


class _Forgetful(Database):
    """The same database, whose answer to the writer number ``forget`` is lost after its commit."""

    def __init__(self, db: Database, forget: int) -> None:
        super().__init__(str(db.url))
        self._forget = forget

    @contextlib.contextmanager
    def writer(self) -> Iterator[Session]:
        self._forget -= 1
        with super().writer() as session:
            yield session
        if self._forget == 0:
            raise errors.Unavailable("The database does not answer.")


def _lease_until(db: Database) -> float:
    with db.reader() as session:
        return float(session.scalars(sa.select(CellWorkflowRow.lease_until)).one())
