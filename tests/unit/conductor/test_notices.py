"""What is told of work is of steps that there are."""

import pytest

from nova_lite.conductor.notices import SPANS
from nova_lite.conductor.spanning.notices import REBUILDING, SEEKING, TASKS
from nova_lite.model import roads
from nova_lite.model.notifications import EVENTS


@pytest.mark.parametrize("kind", SPANS)
def test_spans_are_of_steps_in_order_and_of_events_there_are(kind: str) -> None:
    steps = roads.names(roads.IN_CELL[kind])
    for span in SPANS[kind]:
        first, last = span.first or steps[0], span.last or steps[-1]
        assert steps.index(first) <= steps.index(last)
        assert f"instance.{span.action}" in EVENTS


def test_all_work_on_servers_is_told_or_not_for_a_reason() -> None:
    untold = {
        "mirror-status",  # of hosts
        "complete-evacuation",  # what is left on a host
        "extend-volume",  # listeners know no word for it
        "undo-volume-image",  # the end of a snapshot that failed
        "thaw-guest",
    }
    assert set(roads.IN_CELL) - set(SPANS) == untold


def test_what_is_told_of_work_above_cells_is_of_steps_there_are() -> None:
    for kind, step in (*SEEKING.items(), *REBUILDING.items()):
        assert step in roads.names(roads.ABOVE[kind])
    assert set(TASKS) <= set(roads.ABOVE)
    assert {f"compute_task.{task}" for task in TASKS.values()} <= set(EVENTS)
