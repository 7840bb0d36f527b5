"""The runner of workflows: leases, records, retries, undoing, and what is left when a conductor dies."""

import contextlib
import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import saga
from nova_lite.conductor.saga import Definition, Detour, Record, Runner, Step, Work
from nova_lite.db.cell_tables import CellBase, CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.workflow import Status, Workflow
from nova_lite.storage import Database, epoch_now


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@dataclasses.dataclass
class Diary:
    """What steps did, in order, and what each is told to do next."""

    entries: list[str] = dataclasses.field(default_factory=list)
    raising: dict[str, list[BaseException]] = dataclasses.field(default_factory=dict)

    def note(self, entry: str) -> None:
        self.entries.append(entry)
        planned = self.raising.get(entry, [])
        if planned:
            raise planned.pop(0)


DiaryWork = Work[Diary]


def _do(name: str) -> Callable[[DiaryWork], dict[str, object]]:
    def do(work: DiaryWork) -> dict[str, object]:
        work.tools.note(name)
        return {name: True}

    return do


def _undo(name: str) -> Callable[[DiaryWork], None]:
    def undo(work: DiaryWork) -> None:
        work.tools.note(f"undo {name}")

    return undo


def _record(work: DiaryWork, session: Session) -> dict[str, object]:
    work.tools.note("c")
    return {"c": True}


def _failed(work: DiaryWork) -> None:
    work.tools.note(f"failed: {work.reason}")


THREE = Definition[Diary](
    "three",
    (
        Step("a", _do("a"), undo=_undo("a")),
        Step("b", _do("b"), undo=_undo("b")),
        Record("c", _record, undo=_undo("c")),
    ),
    on_failure=Step("failed", _failed),
)
FORWARD_ONLY = Definition[Diary](
    "forward",
    (Step("a", _do("a"), undo=_undo("a")), Step("b", _do("b"), no_way_back=True)),
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/cell.db")
    CellBase.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga, "_BACKOFF_S", (0.0,))


def _runner(db: Database, diary: Diary, owner: str = "one", **changes: Any) -> Runner[Diary]:
    facts: dict[str, Any] = {
        "db": db,
        "row": CellWorkflowRow,
        "definitions": {"three": THREE, "forward": FORWARD_ONLY},
        "tools": diary,
        "owner": owner,
        "lease_s": 60.0,
        "scan_interval_s": lambda: 60.0,
        "threads": 1,
    }
    return Runner(**(facts | changes))


def _add(db: Database, kind: str = "three", timeout_s: float = 60.0) -> str:
    workflow = Workflow(str(uuid.uuid4()), kind, str(uuid.uuid4()), "project", "user", "req-1", {}, 0.0)
    with db.writer() as session:
        workflows.add(session, CellWorkflowRow, workflow, timeout_s=timeout_s)
    return workflow.uuid


def _get(db: Database, uuid_: str) -> Workflow:
    with db.reader() as session:
        found = workflows.get(session, CellWorkflowRow, uuid_)
    assert found is not None
    return found


def _expire_leases(db: Database) -> None:
    with db.writer() as session:
        session.execute(sa.update(CellWorkflowRow).values(lease_until=epoch_now() - 1))


def test_runs_every_step_once_and_keeps_their_facts(db: Database) -> None:
    diary = Diary()
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "c"]
    ended = _get(db, workflow)
    assert (ended.status, ended.facts, ended.lease_owner) == (Status.DONE, {"a": True, "b": True, "c": True}, None)


def test_a_workflow_that_ended_is_not_run_again(db: Database) -> None:
    diary = Diary()
    workflow = _add(db)
    for _ in range(2):
        _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "c"]


def test_a_failing_step_undoes_all_begun_and_says_why(db: Database) -> None:
    diary = Diary(raising={"b": [errors.GuestFailed("the disk is too small")]})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "undo b", "undo a", "failed: the disk is too small"]
    ended = _get(db, workflow)
    assert (ended.status, ended.reason) == (Status.FAILED, "the disk is too small")


def test_a_bug_in_a_step_tells_users_nothing_of_itself(db: Database) -> None:
    diary = Diary(raising={"b": [ValueError("secret")]})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries[-1] == "failed: An internal error happened."


def test_a_failing_record_leaves_no_trace_and_is_undone(db: Database) -> None:
    diary = Diary(raising={"c": [errors.Conflict("busy")]})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "c", "undo c", "undo b", "undo a", "failed: busy"]
    assert "c" not in _get(db, workflow).facts


def test_an_error_that_passes_is_retried(db: Database) -> None:
    diary = Diary(raising={"b": [errors.Unavailable("later"), errors.Timeout("later")]})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "b", "b", "c"]
    assert _get(db, workflow).status is Status.DONE


def test_a_long_outage_parks_the_workflow_for_the_next_scan(db: Database) -> None:
    diary = Diary(raising={"b": [errors.Unavailable("later")] * 4})
    workflow = _add(db)
    runner = _runner(db, diary)
    runner.run(workflow)
    assert diary.entries == ["a", "b", "b", "b", "b"]
    assert _get(db, workflow).status is Status.RUNNING
    _expire_leases(db)
    runner.run(workflow)
    assert diary.entries == ["a", "b", "b", "b", "b", "b", "c"]


def test_past_its_deadline_a_workflow_is_undone(db: Database) -> None:
    diary = Diary()
    workflow = _add(db, timeout_s=-1.0)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["undo a", "failed: Timed out while waiting for: a."]


def test_past_the_point_of_no_return_every_failure_is_retried(db: Database) -> None:
    diary = Diary(raising={"b": [errors.GuestFailed("no"), ValueError("bug")]})
    workflow = _add(db, "forward", timeout_s=60)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "b", "b"]
    assert _get(db, workflow).status is Status.DONE


@pytest.mark.parametrize(
    ("place", "refusals", "entries"),
    [
        pytest.param("b", 1, ["a", "b", "undo a", "failed: The database cannot keep what was asked for."], id="first"),
        pytest.param("c", 2, ["a", "b", "c", "c", "c"], id="later"),
    ],
)
def test_a_refusal_for_good_turns_back_as_long_as_that_is_possible(
    db: Database, place: str, refusals: int, entries: list[str]
) -> None:
    def note(name: str) -> Callable[[DiaryWork, Session], None]:
        return lambda work, session: work.tools.note(name)

    records = (Record(name, note(name), no_way_back=True) for name in "bc")
    definition = Definition[Diary](
        "three", (Step("a", _do("a"), undo=_undo("a")), *records), on_failure=Step("failed", _failed)
    )
    refusal = sa.exc.DataError("INSERT", {}, ValueError("too long\nrow: secret"))
    diary = Diary(raising={place: [refusal] * refusals})
    workflow = _add(db)
    _runner(db, diary, definitions={"three": definition}).run(workflow)
    assert diary.entries == entries
    is_first = place == "b"
    assert _get(db, workflow).status is (Status.FAILED if is_first else Status.DONE)
    facts = _get(db, workflow).facts
    assert {name: facts[name] for name in facts if name != "traceback"} == (
        {"a": True} | ({"refusal": "too long"} if is_first else {})
    )
    assert ("secret" in str(facts), "DataError" in str(facts)) == (False, is_first)


def test_an_undo_is_retried_until_it_works(db: Database) -> None:
    diary = Diary(raising={"b": [errors.Invalid("no")], "undo a": [errors.Unavailable("later"), ValueError("bug")]})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "undo b", "undo a", "undo a", "undo a", "failed: no"]


def test_what_cannot_be_undone_in_time_is_noted(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga, "UNDO_GRACE_S", -100.0)
    diary = Diary(raising={"b": [errors.Invalid("no")], "undo b": [errors.Unavailable("later")]})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "undo b", "undo a", "failed: no"]
    assert _get(db, workflow).facts["left_behind"] == ["b"]


@pytest.mark.parametrize("kind", [Step, Record])
def test_an_ending_that_a_database_refuses_is_left_behind(db: Database, kind: Any) -> None:
    refusal = sa.exc.DataError("INSERT", {}, ValueError("too long\nrow: secret"))
    diary = Diary(raising={"b": [errors.Invalid("no")], "end": [errors.Unavailable("later"), refusal]})
    definition = dataclasses.replace(THREE, on_failure=kind("end", lambda work, *_: work.tools.note("end")))
    workflow = _add(db)
    _runner(db, diary, definitions={"three": definition}).run(workflow)
    assert diary.entries[-2:] == ["end", "end"]
    ended = _get(db, workflow)
    assert (ended.status, ended.reason) == (Status.FAILED, "no")
    assert ended.facts.pop("traceback")
    assert ended.facts == {"a": True, "left_behind": ["end"], "refusal": "too long"}


def test_an_ending_that_fails_otherwise_is_tried_until_it_is_late(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = "failed: no"
    diary = Diary(raising={"b": [errors.Invalid("no")], ending: [ValueError("bug")] * 2})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries.count(ending) == 3
    assert "left_behind" not in _get(db, workflow).facts
    monkeypatch.setattr(saga, "UNDO_GRACE_S", -100.0)
    diary = Diary(raising={"b": [errors.Invalid("no")], ending: [ValueError("bug")]})
    workflow = _add(db)
    _runner(db, diary).run(workflow)
    assert diary.entries.count(ending) == 1
    assert _get(db, workflow).status is Status.FAILED
    assert _get(db, workflow).facts["left_behind"] == ["failed"]


def test_a_lease_keeps_others_away(db: Database) -> None:
    workflow = _add(db)
    with db.writer() as session:
        assert workflows.claim(session, CellWorkflowRow, workflow, owner="other", lease_s=60) is not None
    diary = Diary()
    _runner(db, diary).run(workflow)
    assert diary.entries == []


def test_a_superseded_workflow_stops_without_undoing(db: Database) -> None:
    workflow = _add(db)
    diary = Diary()

    def supersede(kind: str, step: str) -> None:
        if step == "a":
            with db.writer() as session:
                workflows.supersede(session, CellWorkflowRow, _get(db, workflow).subject)

    with pytest.raises(saga.LeaseLost):
        _runner(db, diary, after_record=supersede).run(workflow)
    assert diary.entries == ["a", "b"]
    assert _get(db, workflow).status is Status.SUPERSEDED


def _kill_at(kind: str) -> list[str]:
    """Return every place where a runner may die: in each step, after each record, in each undo."""
    return ["a", "b", "c", "after a", "after b"] if kind == "well" else [
        "a", "b", "undo b", "undo a", "after a", "after undo b", "after undo a", "failed: no",
    ]  # fmt: skip


@pytest.mark.parametrize("place", _kill_at("well"))
def test_a_killed_conductor_is_resumed_where_it_stood(db: Database, place: str) -> None:
    workflow = _add(db)
    _killed_once(db, workflow, place, Diary())
    diary = Diary()
    _expire_leases(db)
    _runner(db, diary, owner="two").run(workflow)
    assert _get(db, workflow).status is Status.DONE
    repeated = place if not place.startswith("after") else None
    assert diary.entries[:1] == ([repeated] if repeated else diary.entries[:1])
    assert diary.entries[-1] == "c"


@pytest.mark.parametrize("place", _kill_at("badly"))
def test_a_conductor_killed_while_undoing_is_resumed(db: Database, place: str) -> None:
    workflow = _add(db)
    _killed_once(db, workflow, place, Diary(raising={"b": [errors.Invalid("no")]}))
    diary = Diary(raising={"b": [errors.Invalid("no")]})
    _expire_leases(db)
    _runner(db, diary, owner="two").run(workflow)
    ended = _get(db, workflow)
    assert (ended.status, ended.reason) == (Status.FAILED, "no")
    assert diary.entries[-1] == "failed: no"


def _other_way(work: DiaryWork, session: Session) -> dict[str, object]:
    work.tools.note("turn")
    return {"turns": work.facts.get("turns", 0) + 1, "reasons": [*work.facts.get("reasons", []), work.facts["detour"]]}


WITH_DETOUR = Definition[Diary](
    "three",
    (
        Step("a", _do("a"), undo=_undo("a")),
        Step(
            "b",
            _do("b"),
            undo=_undo("b"),
            detour=Detour(
                errors.HostFailed, (Step("mend", _do("mend"), undo=_undo("mend")), Record("turn", _other_way))
            ),
        ),
        Record("c", _record, no_way_back=True),
    ),
    on_failure=Step("failed", _failed),
)


def _with_detour(db: Database, diary: Diary, **changes: Any) -> Runner[Diary]:
    return _runner(db, diary, definitions={"three": WITH_DETOUR}, **changes)


class TestDetour:
    """A step that failed in the way its detour is for is made up for, and run again."""

    def test_is_passed_by_when_all_goes_well(self, db: Database) -> None:
        diary = Diary()
        workflow = _add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "c"]
        assert (_get(db, workflow).status, _get(db, workflow).step) == (Status.DONE, len(WITH_DETOUR.road))

    def test_is_taken_as_often_as_needed(self, db: Database) -> None:
        diary = Diary(raising={"b": [errors.HostFailed("one"), errors.Unavailable("later"), errors.HostFailed("two")]})
        workflow = _add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "mend", "turn", "b", "b", "mend", "turn", "b", "c"]
        ended = _get(db, workflow)
        assert (ended.status, ended.facts["turns"], ended.facts["reasons"]) == (Status.DONE, 2, ["one", "two"])

    def test_is_not_for_other_errors(self, db: Database) -> None:
        diary = Diary(raising={"b": [errors.GuestFailed("no")]})
        workflow = _add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "undo b", "undo a", "failed: no"]

    def test_ends_the_workflow_by_its_own_error(self, db: Database) -> None:
        diary = Diary(raising={"b": [errors.HostFailed("one")], "mend": [errors.HostFailed("none is left")]})
        workflow = _add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "mend", "undo mend", "undo b", "undo a", "failed: none is left"]
        assert _get(db, workflow).status is Status.FAILED

    @pytest.mark.parametrize(
        ("place", "left"),
        [
            pytest.param("after b", ["mend", "turn", "b", "c"], id="as it turned off"),
            pytest.param("mend", ["mend", "turn", "b", "c"], id="in it"),
            pytest.param("after mend", ["turn", "b", "c"], id="half way"),
            pytest.param("turn", ["turn", "b", "c"], id="in its record"),
            pytest.param("after turn", ["b", "c"], id="as it came back"),
        ],
    )
    def test_is_resumed_where_it_stood(self, db: Database, place: str, left: list[str]) -> None:
        workflow = _add(db)

        def die(kind: str, step: str) -> None:
            if place == f"after {step}":
                raise Killed

        diary = Diary(raising={"b": [errors.HostFailed("one")], place: [Killed()]})
        with pytest.raises(Killed):
            _with_detour(db, diary, after_record=die).run(workflow)
        _expire_leases(db)
        second = Diary()
        _with_detour(db, second, owner="two").run(workflow)
        assert second.entries == left
        assert (_get(db, workflow).status, _get(db, workflow).facts["turns"]) == (Status.DONE, 1)

    def test_keeps_the_deadline(self, db: Database) -> None:
        workflow = _add(db)

        def late(kind: str, step: str) -> None:
            if step == "mend":
                with db.writer() as session:
                    session.execute(sa.update(CellWorkflowRow).values(deadline=epoch_now() - 1, lease_until=0.0))
                raise Killed

        with pytest.raises(Killed):
            _with_detour(db, Diary(raising={"b": [errors.HostFailed("one")]}), after_record=late).run(workflow)
        diary = Diary()
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["undo mend", "undo b", "undo a", "failed: Timed out while waiting for: turn."]


def test_a_step_knows_when_it_may_have_run_before(db: Database) -> None:
    seen: list[bool] = []
    told = Definition[Diary]("three", (Step("a", lambda work: seen.append(work.may_have_run)),))
    workflow = _add(db)
    runner = _runner(db, Diary())
    runner.definitions = {"three": told}
    with db.writer() as session:
        workflows.claim(session, CellWorkflowRow, workflow, owner="dead", lease_s=-1)
    runner.run(workflow)
    assert seen == [True]


def test_scans_take_up_what_nobody_was_told_of(db: Database) -> None:
    diary = Diary()
    workflow = _add(db)
    _expire_leases(db)
    runner = _runner(db, diary)
    runner.start()
    try:
        assert _wait_until(lambda: _get(db, workflow).status is Status.DONE)
    finally:
        runner.stop()
    assert diary.entries == ["a", "b", "c"]


def test_a_woken_workflow_runs_once_however_often_it_is_woken(db: Database) -> None:
    diary = Diary()
    workflow = _add(db)
    runner = _runner(db, diary)
    for _ in range(5):
        runner.wake(workflow)
    assert _wait_until(lambda: _get(db, workflow).status is Status.DONE)
    runner.stop()
    assert diary.entries == ["a", "b", "c"]


def test_what_is_not_begun_when_it_stops_is_named_for_others(db: Database) -> None:
    entered, going_on = threading.Event(), threading.Event()

    def hold(kind: str, step: str) -> None:
        entered.set()
        assert going_on.wait(480)

    first, second, third = (_add(db) for _ in range(3))
    runner = _runner(db, Diary(), threads=1, after_record=hold, scan_interval_s=lambda: 3600.0)
    runner.wake(first)
    assert entered.wait(480)
    runner.wake(second)
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    assert _wait_until(lambda: runner._is_stopping)
    going_on.set()
    stopping.join(480)
    runner.wake(third)
    assert runner.not_begun == sorted([second, third])
    assert _get(db, first).status is Status.DONE


def test_a_run_that_ends_at_a_bug_gives_its_lease_up(db: Database) -> None:
    """The lease of what does not run here is not renewed, or nobody could ever go on."""
    workflow = _add(db, "unknown kind")
    runner = _runner(db, Diary(), lease_s=0.3, scan_interval_s=lambda: 0.02)
    runner.start()
    try:
        assert _wait_until(lambda: _get(db, workflow).attempt >= 1)
        runner.definitions = {"unknown kind": dataclasses.replace(THREE, kind="unknown kind")}
        assert _wait_until(lambda: _get(db, workflow).status is Status.DONE)
    finally:
        runner.stop()


def test_the_lease_of_a_long_step_is_renewed(db: Database) -> None:
    workflow = _add(db)
    diary = Diary()
    seen: list[bool] = []

    def long_step(work: DiaryWork) -> None:
        began = _lease_until(db)
        seen.append(_wait_until(lambda: _lease_until(db) > began))

    runner = _runner(db, diary, lease_s=2.0)
    runner.definitions = {"three": Definition("three", (Step("long", long_step),))}
    runner.start()
    try:
        runner.wake(workflow)
        assert _wait_until(lambda: _get(db, workflow).status is Status.DONE)
    finally:
        runner.stop()
    assert seen == [True]


def test_a_record_whose_commit_was_answered_by_nothing_happens_once(db: Database) -> None:
    """The database did it and its answer was lost: doing it again must not write over it."""
    happened: list[str] = []

    def count(work: DiaryWork, session: Session) -> dict[str, object]:
        happened.append("count")
        return {"count": len(happened)}

    workflow = _add(db)
    told = Definition[Diary]("three", (Record("count", count, no_way_back=True), Step("a", _do("a"), no_way_back=True)))
    runner = _runner(_Forgetful(db, forget=1), Diary())
    runner.definitions = {"three": told}
    with pytest.raises(saga.LeaseLost):
        runner.run(workflow)
    assert happened == ["count", "count"]
    assert (_get(db, workflow).step, _get(db, workflow).facts) == (1, {"count": 1})
    _expire_leases(db)
    runner.run(workflow)
    assert (_get(db, workflow).status, _get(db, workflow).facts) == (Status.DONE, {"count": 1, "a": True})


def test_a_conductor_that_lost_its_lease_undoes_nothing(db: Database) -> None:
    workflow = _add(db)
    diary = Diary(raising={"b": [errors.Invalid("no")]})

    def take_over(kind: str, step: str) -> None:
        if step == "undo b":
            _expire_leases(db)
            with db.writer() as session:
                assert workflows.claim(session, CellWorkflowRow, workflow, owner="two", lease_s=60) is not None

    with pytest.raises(saga.LeaseLost):
        _runner(db, diary, after_record=take_over).run(workflow)
    assert diary.entries == ["a", "b", "undo b"]


def test_parking_fits_the_longest_owner(db: Database) -> None:
    workflow = _add(db)
    owner = "o" * 64
    with db.writer() as session:
        assert workflows.claim(session, CellWorkflowRow, workflow, owner=owner, lease_s=60) is not None
        workflows.park(session, CellWorkflowRow, workflow, owner, delay_s=60)
    parked = _get(db, workflow)
    assert parked.lease_owner is not None
    assert parked.lease_owner != owner
    assert len(parked.lease_owner) <= 64


def test_a_ticker_survives_what_its_function_raises(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that met a broken table must not leave the conductor deaf."""
    workflow = _add(db)
    _expire_leases(db)
    claimable = workflows.claimable
    failures: list[Exception] = [ValueError("no such column")]

    def failing(*args: Any, **options: Any) -> list[str]:
        if failures:
            raise failures.pop()
        return claimable(*args, **options)

    monkeypatch.setattr(workflows, "claimable", failing)
    runner = _runner(db, Diary(), scan_interval_s=lambda: 0.02)
    runner.start()
    try:
        assert _wait_until(lambda: _get(db, workflow).status is Status.DONE)
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


def _killed_once(db: Database, workflow: str, place: str, diary: Diary) -> None:
    """Run a workflow on a conductor that dies at ``place``."""

    def die_after(kind: str, step: str) -> None:
        if place == f"after {step}":
            raise Killed

    if not place.startswith("after"):
        diary.raising[place] = [Killed()]
    with pytest.raises(Killed):
        _runner(db, diary, after_record=die_after).run(workflow)


def _wait_until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Return whether ``is_so`` became true in time; looks again every few milliseconds."""
    import threading  # noqa: PLC0415
    import time  # noqa: PLC0415

    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while time.monotonic() < end:
        if is_so():
            return True
        pause.wait(0.005)
    return False
