from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from nova_lite.model import operation as model
from nova_lite.model import roads
from nova_lite.model.migration import Progress
from nova_lite.model.operation import Operation, Part
from nova_lite.model.workflow import Status

_NOW = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_uuids = (f"{number:08}" for number in count())


def part(kind: str, status: Status = Status.RUNNING, step: int = 0, **values: Any) -> Part:
    made = Part(
        uuid=next(_uuids),
        kind=kind,
        request_id="req-1",
        user_id="alice",
        project_id="demo",
        status=status,
        step=step,
        attempt=1,
        reason=None,
        deadline=100.0,
        created_at=_NOW,
        updated_at=None,
    )
    return replace(made, **values)


def test_parts_above_lead_to_parts_that_are() -> None:
    below = {each.kind for road in roads.ABOVE.values() for each in road if isinstance(each, roads.InCell)}
    assert below <= set(roads.IN_CELL)


def test_parts_of_one_request_are_one_operation() -> None:
    above, below = part("move", step=3), part("move", step=5)
    other = part("start", Status.DONE, request_id="req-2", created_at=_NOW + timedelta(seconds=1))
    found = model.merged([above], [other, below])
    assert found == [Operation(None, other), Operation(above, below)]
    move = found[1]
    assert move.steps == [
        *("begin in cell", "choose host", "hand to cell"),
        *("hold claim", "ask hosts", "begin migrating", "set guest aside", "hand over", "begin finishing"),
        *("start guest", "await confirmation", "account"),
    ]
    assert move.stage == model.Stage(6, "begin migrating", 1)
    assert (move.state, move.percent) == (Status.RUNNING, 41)


@pytest.mark.parametrize(
    ("above", "below", "state", "number", "name", "percent"),
    [
        pytest.param(part("move", Status.PENDING), None, Status.PENDING, 1, "begin in cell", 0, id="not begun"),
        pytest.param(part("move", step=1), None, Status.RUNNING, 2, "choose host", 8, id="above"),
        pytest.param(part("move", step=3), part("move", step=2), Status.RUNNING, 5, "note refusal", 33, id="aside"),
        pytest.param(
            part("move", step=3),
            part("move", Status.UNDOING, step=6),
            Status.UNDOING,
            7,
            "set guest aside",
            50,
            id="back",
        ),
        pytest.param(
            part("move", step=3), part("move", Status.DONE, 11), Status.RUNNING, 12, "account", 91, id="count"
        ),
        pytest.param(
            part("delete", Status.DONE, 2), part("delete", step=1), Status.RUNNING, 3, "free claim", 40, id="late"
        ),
        pytest.param(part("unheard"), None, Status.RUNNING, 1, "unheard", 0, id="of a newer conductor"),
        pytest.param(None, part("stop", step=1), Status.RUNNING, 2, "mark done", 50, id="cell only"),
    ],
)
def test_where_it_stands(
    above: Part | None, below: Part | None, state: Status, number: int, name: str, percent: int
) -> None:
    operation = Operation(above, below)
    assert (operation.state, operation.percent) == (state, percent)
    assert operation.stage is not None
    assert (operation.stage.number, operation.stage.name) == (number, name)


@pytest.mark.parametrize(
    ("above", "below", "state", "percent"),
    [
        pytest.param(Status.DONE, Status.DONE, Status.DONE, 100, id="well"),
        pytest.param(Status.DONE, Status.FAILED, Status.FAILED, None, id="failed in the cell"),
        pytest.param(Status.DONE, Status.SUPERSEDED, Status.SUPERSEDED, None, id="interrupted"),
        pytest.param(Status.FAILED, None, Status.FAILED, None, id="failed above"),
    ],
)
def test_how_it_ended(above: Status, below: Status | None, state: Status, percent: int | None) -> None:
    operation = Operation(part("move", above), None if below is None else part("move", below))
    assert (operation.state, operation.percent, operation.stage) == (state, percent, None)


def test_data_that_is_moved_counts_within_its_step() -> None:
    operation = Operation(None, part("stop"))
    assert operation.percent == 0
    half = Progress(memory_total=100, memory_processed=50, memory_remaining=50)
    assert replace(operation, moved=half).percent == 25


def test_what_the_cell_refused_at_once_never_was() -> None:
    refused = part("move", Status.SUPERSEDED, attempt=0)
    assert model.merged([refused], []) == []


def test_times_and_reasons_are_those_of_what_is_open() -> None:
    above, below = part("move", Status.DONE, deadline=50.0), part("move", deadline=70.0, reason="Full.")
    operation = Operation(above, replace(below, updated_at=_NOW))
    assert (operation.deadline, operation.reason, operation.updated_at) == (70.0, "Full.", _NOW)
