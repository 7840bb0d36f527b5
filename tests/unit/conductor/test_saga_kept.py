"""Steps that are recorded by the Record behind them: a transaction less, and nothing is lost for it."""

import pytest

from nova_lite import errors
from nova_lite.conductor.saga import Definition, Record, Step
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.unit.conductor.sagas import (
    Diary,
    DiaryWork,
    Killed,
    add,
    db,
    doing,
    expire_leases,
    get,
    new_runner,
    no_waiting,
    record_c,
    tell_failure,
    undoing,
)

__all__ = ["db", "no_waiting"]


def _undo_by_fact(work: DiaryWork) -> None:
    work.tools.note(f"undo b, known: {work.facts.get('b', False)}")


KEPT = Definition[Diary](
    "three",
    (
        Step("a", doing("a"), undo=undoing("a")),
        Step("b", doing("b"), undo=_undo_by_fact, kept=True),
        Record("c", record_c),
    ),
    on_failure=Step("failed", tell_failure),
)


def test_what_is_kept_is_recorded_by_the_record_behind_it(db: Database) -> None:
    diary, workflow = Diary(), add(db)
    seen: list[tuple[str, int]] = []
    runner = new_runner(db, diary, definitions={"three": KEPT})
    runner.after_record = lambda kind, step: seen.append((step, get(db, workflow).step))
    runner.run(workflow)
    assert seen == [("a", 1), ("b", 1), ("c", 3)]
    ended = get(db, workflow)
    assert (ended.status, ended.facts) == (Status.DONE, {"a": True, "b": True, "c": True})


@pytest.mark.parametrize("place", ["b", "c"])
def test_who_dies_before_that_has_it_run_again(db: Database, place: str) -> None:
    diary, workflow = Diary(raising={"c": [Killed()]} if place == "c" else {}), add(db)
    runner = new_runner(db, diary, definitions={"three": KEPT})

    def die(kind: str, step: str) -> None:
        if step == place:
            raise Killed

    runner.after_record = die
    with pytest.raises(Killed):
        runner.run(workflow)
    assert (get(db, workflow).step, get(db, workflow).facts) == (1, {"a": True})
    expire_leases(db)
    new_runner(db, diary, owner="two", definitions={"three": KEPT}).run(workflow)
    assert [entry for entry in diary.entries if entry != "c"] == ["a", "b", "b"]
    assert (get(db, workflow).status, get(db, workflow).facts["b"]) == (Status.DONE, True)


def test_what_it_found_is_known_to_its_undo_wherever_that_runs(db: Database) -> None:
    diary, workflow = Diary(raising={"c": [errors.Conflict("no")]}), add(db)
    runner = new_runner(db, diary, definitions={"three": KEPT})
    diary.raising["undo b, known: True"] = [Killed()]
    with pytest.raises(Killed):
        runner.run(workflow)
    assert get(db, workflow).status is Status.UNDOING
    assert get(db, workflow).facts.keys() == {"a", "b", "traceback"}
    expire_leases(db)
    new_runner(db, diary, owner="two", definitions={"three": KEPT}).run(workflow)
    assert diary.entries == ["a", "b", "c", *["undo b, known: True"] * 2, "undo a", "failed: no"]
    assert get(db, workflow).status is Status.FAILED


def test_a_record_tried_again_does_not_run_what_was_kept_again(db: Database) -> None:
    diary, workflow = Diary(raising={"c": [errors.Unavailable("a moment")]}), add(db)
    new_runner(db, diary, definitions={"three": KEPT}).run(workflow)
    assert diary.entries == ["a", "b", "c", "c"]
    assert get(db, workflow).status is Status.DONE


@pytest.mark.parametrize("behind", [(), (Step("c", doing("c")),)], ids=["nothing", "a step"])
def test_nothing_is_kept_that_no_record_follows(behind: tuple[Step[Diary], ...]) -> None:
    with pytest.raises(TypeError):
        Definition[Diary]("bad", (Step("b", doing("b"), kept=True), *behind))
