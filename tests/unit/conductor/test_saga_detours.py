"""Detours: what makes up for a step that failed, so that it can be run again."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.saga import Definition, Detour, Record, Runner, Step
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.model.workflow import Status
from nova_lite.storage import Database, epoch_now
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


def _other_way(work: DiaryWork, session: Session) -> dict[str, object]:
    work.tools.note("turn")
    return {"turns": work.facts.get("turns", 0) + 1, "reasons": [*work.facts.get("reasons", []), work.facts["detour"]]}


WITH_DETOUR = Definition[Diary](
    "three",
    (
        Step("a", doing("a"), undo=undoing("a")),
        Step(
            "b",
            doing("b"),
            undo=undoing("b"),
            detour=Detour(
                errors.HostFailed, (Step("mend", doing("mend"), undo=undoing("mend")), Record("turn", _other_way))
            ),
        ),
        Record("c", record_c, no_way_back=True),
    ),
    on_failure=Step("failed", tell_failure),
)


def _with_detour(db: Database, diary: Diary, **changes: Any) -> Runner[Diary]:
    return new_runner(db, diary, definitions={"three": WITH_DETOUR}, **changes)


class TestDetour:
    """A step that failed in the way its detour is for is made up for, and run again."""

    def test_is_passed_by_when_all_goes_well(self, db: Database) -> None:
        diary = Diary()
        workflow = add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "c"]
        assert (get(db, workflow).status, get(db, workflow).step) == (Status.DONE, len(WITH_DETOUR.road))

    def test_is_taken_as_often_as_needed(self, db: Database) -> None:
        diary = Diary(raising={"b": [errors.HostFailed("one"), errors.Unavailable("later"), errors.HostFailed("two")]})
        workflow = add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "mend", "turn", "b", "b", "mend", "turn", "b", "c"]
        ended = get(db, workflow)
        assert (ended.status, ended.facts["turns"], ended.facts["reasons"]) == (Status.DONE, 2, ["one", "two"])

    def test_is_not_for_other_errors(self, db: Database) -> None:
        diary = Diary(raising={"b": [errors.GuestFailed("no")]})
        workflow = add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "undo b", "undo a", "failed: no"]

    def test_ends_the_workflow_by_its_own_error(self, db: Database) -> None:
        diary = Diary(raising={"b": [errors.HostFailed("one")], "mend": [errors.HostFailed("none is left")]})
        workflow = add(db)
        _with_detour(db, diary).run(workflow)
        assert diary.entries == ["a", "b", "mend", "undo mend", "undo b", "undo a", "failed: none is left"]
        assert get(db, workflow).status is Status.FAILED

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
        workflow = add(db)

        def die(kind: str, step: str) -> None:
            if place == f"after {step}":
                raise Killed

        diary = Diary(raising={"b": [errors.HostFailed("one")], place: [Killed()]})
        with pytest.raises(Killed):
            _with_detour(db, diary, after_record=die).run(workflow)
        expire_leases(db)
        second = Diary()
        _with_detour(db, second, owner="two").run(workflow)
        assert second.entries == left
        assert (get(db, workflow).status, get(db, workflow).facts["turns"]) == (Status.DONE, 1)

    def test_keeps_the_deadline(self, db: Database) -> None:
        workflow = add(db)

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
