"""Steps that are recorded by the Record behind them: a transaction less, and nothing is lost for it."""

import pytest

from nova_lite import errors
from nova_lite.conductor import saga
from nova_lite.conductor.saga import Definition, Record, Step
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.unit.conductor.test_saga import (
    Diary,
    DiaryWork,
    Killed,
    _add,
    _do,
    _expire_leases,
    _failed,
    _get,
    _record,
    _runner,
    _undo,
    db,
)

__all__ = ["db"]


def _undo_by_fact(work: DiaryWork) -> None:
    work.tools.note(f"undo b, known: {work.facts.get('b', False)}")


KEPT = Definition[Diary](
    "three",
    (
        Step("a", _do("a"), undo=_undo("a")),
        Step("b", _do("b"), undo=_undo_by_fact, kept=True),
        Record("c", _record),
    ),
    on_failure=Step("failed", _failed),
)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga, "_BACKOFF_S", (0.0,))


def test_what_is_kept_is_recorded_by_the_record_behind_it(db: Database) -> None:
    diary, workflow = Diary(), _add(db)
    seen: list[tuple[str, int]] = []
    runner = _runner(db, diary, definitions={"three": KEPT})
    runner.after_record = lambda kind, step: seen.append((step, _get(db, workflow).step))
    runner.run(workflow)
    assert seen == [("a", 1), ("b", 1), ("c", 3)]
    ended = _get(db, workflow)
    assert (ended.status, ended.facts) == (Status.DONE, {"a": True, "b": True, "c": True})


@pytest.mark.parametrize("place", ["b", "c"])
def test_who_dies_before_that_has_it_run_again(db: Database, place: str) -> None:
    diary, workflow = Diary(raising={"c": [Killed()]} if place == "c" else {}), _add(db)
    runner = _runner(db, diary, definitions={"three": KEPT})

    def die(kind: str, step: str) -> None:
        if step == place:
            raise Killed

    runner.after_record = die
    with pytest.raises(Killed):
        runner.run(workflow)
    assert (_get(db, workflow).step, _get(db, workflow).facts) == (1, {"a": True})
    _expire_leases(db)
    _runner(db, diary, owner="two", definitions={"three": KEPT}).run(workflow)
    assert [entry for entry in diary.entries if entry != "c"] == ["a", "b", "b"]
    assert (_get(db, workflow).status, _get(db, workflow).facts["b"]) == (Status.DONE, True)


def test_what_it_found_is_known_to_its_undo_wherever_that_runs(db: Database) -> None:
    diary, workflow = Diary(raising={"c": [errors.Conflict("no")]}), _add(db)
    runner = _runner(db, diary, definitions={"three": KEPT})
    diary.raising["undo b, known: True"] = [Killed()]
    with pytest.raises(Killed):
        runner.run(workflow)
    assert _get(db, workflow).status is Status.UNDOING
    assert _get(db, workflow).facts.keys() == {"a", "b", "traceback"}
    _expire_leases(db)
    _runner(db, diary, owner="two", definitions={"three": KEPT}).run(workflow)
    assert diary.entries == ["a", "b", "c", *["undo b, known: True"] * 2, "undo a", "failed: no"]
    assert _get(db, workflow).status is Status.FAILED


def test_a_record_tried_again_does_not_run_what_was_kept_again(db: Database) -> None:
    diary, workflow = Diary(raising={"c": [errors.Unavailable("a moment")]}), _add(db)
    _runner(db, diary, definitions={"three": KEPT}).run(workflow)
    assert diary.entries == ["a", "b", "c", "c"]
    assert _get(db, workflow).status is Status.DONE


@pytest.mark.parametrize("behind", [(), (Step("c", _do("c")),)], ids=["nothing", "a step"])
def test_nothing_is_kept_that_no_record_follows(behind: tuple[Step[Diary], ...]) -> None:
    with pytest.raises(TypeError):
        Definition[Diary]("bad", (Step("b", _do("b"), kept=True), *behind))
