"""The runner of workflows: steps, records, retries and undoing."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import saga
from nova_lite.conductor.saga import Definition, Record, Step
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
    new_runner,
    no_waiting,
    tell_failure,
    undoing,
)

__all__ = ["db", "no_waiting"]


def test_runs_every_step_once_and_keeps_their_facts(db: Database) -> None:
    diary = Diary()
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "c"]
    ended = get(db, workflow)
    assert (ended.status, ended.facts, ended.lease_owner) == (Status.DONE, {"a": True, "b": True, "c": True}, None)


def test_a_workflow_that_ended_is_not_run_again(db: Database) -> None:
    diary = Diary()
    workflow = add(db)
    for _ in range(2):
        new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "c"]


def test_a_failing_step_undoes_all_begun_and_says_why(db: Database) -> None:
    diary = Diary(raising={"b": [errors.GuestFailed("the disk is too small")]})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "undo b", "undo a", "failed: the disk is too small"]
    ended = get(db, workflow)
    assert (ended.status, ended.reason) == (Status.FAILED, "the disk is too small")


def test_a_bug_in_a_step_tells_users_nothing_of_itself(db: Database) -> None:
    diary = Diary(raising={"b": [ValueError("secret")]})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries[-1] == "failed: An internal error happened."


def test_a_failing_record_leaves_no_trace_and_is_undone(db: Database) -> None:
    diary = Diary(raising={"c": [errors.Conflict("busy")]})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "c", "undo c", "undo b", "undo a", "failed: busy"]
    assert "c" not in get(db, workflow).facts


def test_an_error_that_passes_is_retried(db: Database) -> None:
    diary = Diary(raising={"b": [errors.Unavailable("later"), errors.Timeout("later")]})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "b", "b", "c"]
    assert get(db, workflow).status is Status.DONE


def test_a_long_outage_parks_the_workflow_for_the_next_scan(db: Database) -> None:
    diary = Diary(raising={"b": [errors.Unavailable("later")] * 4})
    workflow = add(db)
    runner = new_runner(db, diary)
    runner.run(workflow)
    assert diary.entries == ["a", "b", "b", "b", "b"]
    assert get(db, workflow).status is Status.RUNNING
    expire_leases(db)
    runner.run(workflow)
    assert diary.entries == ["a", "b", "b", "b", "b", "b", "c"]


def test_past_its_deadline_a_workflow_is_undone(db: Database) -> None:
    diary = Diary()
    workflow = add(db, timeout_s=-1.0)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["undo a", "failed: Timed out while waiting for: a."]


def test_past_the_point_of_no_return_every_failure_is_retried(db: Database) -> None:
    diary = Diary(raising={"b": [errors.GuestFailed("no"), ValueError("bug")]})
    workflow = add(db, "forward", timeout_s=60)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "b", "b"]
    assert get(db, workflow).status is Status.DONE


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
        "three", (Step("a", doing("a"), undo=undoing("a")), *records), on_failure=Step("failed", tell_failure)
    )
    refusal = sa.exc.DataError("INSERT", {}, ValueError("too long\nrow: secret"))
    diary = Diary(raising={place: [refusal] * refusals})
    workflow = add(db)
    new_runner(db, diary, definitions={"three": definition}).run(workflow)
    assert diary.entries == entries
    is_first = place == "b"
    assert get(db, workflow).status is (Status.FAILED if is_first else Status.DONE)
    facts = get(db, workflow).facts
    assert {name: facts[name] for name in facts if name != "traceback"} == (
        {"a": True} | ({"refusal": "too long"} if is_first else {})
    )
    assert ("secret" in str(facts), "DataError" in str(facts)) == (False, is_first)


def test_an_undo_is_retried_until_it_works(db: Database) -> None:
    diary = Diary(raising={"b": [errors.Invalid("no")], "undo a": [errors.Unavailable("later"), ValueError("bug")]})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "undo b", "undo a", "undo a", "undo a", "failed: no"]


def test_what_cannot_be_undone_in_time_is_noted(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga, "UNDO_GRACE_S", -100.0)
    diary = Diary(raising={"b": [errors.Invalid("no")], "undo b": [errors.Unavailable("later")]})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries == ["a", "b", "undo b", "undo a", "failed: no"]
    assert get(db, workflow).facts["left_behind"] == ["b"]


@pytest.mark.parametrize("kind", [Step, Record])
def test_an_ending_that_a_database_refuses_is_left_behind(db: Database, kind: Any) -> None:
    refusal = sa.exc.DataError("INSERT", {}, ValueError("too long\nrow: secret"))
    diary = Diary(raising={"b": [errors.Invalid("no")], "end": [errors.Unavailable("later"), refusal]})
    definition = dataclasses.replace(THREE, on_failure=kind("end", lambda work, *_: work.tools.note("end")))
    workflow = add(db)
    new_runner(db, diary, definitions={"three": definition}).run(workflow)
    assert diary.entries[-2:] == ["end", "end"]
    ended = get(db, workflow)
    assert (ended.status, ended.reason) == (Status.FAILED, "no")
    assert ended.facts.pop("traceback")
    assert ended.facts == {"a": True, "left_behind": ["end"], "refusal": "too long"}


def test_an_ending_that_fails_otherwise_is_tried_until_it_is_late(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = "failed: no"
    diary = Diary(raising={"b": [errors.Invalid("no")], ending: [ValueError("bug")] * 2})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries.count(ending) == 3
    assert "left_behind" not in get(db, workflow).facts
    monkeypatch.setattr(saga, "UNDO_GRACE_S", -100.0)
    diary = Diary(raising={"b": [errors.Invalid("no")], ending: [ValueError("bug")]})
    workflow = add(db)
    new_runner(db, diary).run(workflow)
    assert diary.entries.count(ending) == 1
    assert get(db, workflow).status is Status.FAILED
    assert get(db, workflow).facts["left_behind"] == ["failed"]
