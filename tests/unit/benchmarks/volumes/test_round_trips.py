"""What rows of both clouds mean for a volume, and what the benchmark makes of what it found."""

import json
from typing import Any

import pytest

from benchmarks.moves.report import Row
from benchmarks.scheduling.figures import Summary
from benchmarks.volumes import parts, round_trips
from benchmarks.volumes.round_trips import Volumes


def ours(*phases: str) -> list[tuple[str, Any]]:
    return [("vm", json.dumps([{"uuid": str(number), "phase": phase} for number, phase in enumerate(phases)]))]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("vm", None)], Volumes(0, 0)),
        ([("vm", "null")], Volumes(0, 0)),
        ([("vm", [{"phase": "attached"}])], Volumes(1, 0)),
        (ours("attached"), Volumes(1, 0)),
        (ours("attaching"), Volumes(0, 1)),
        (ours("detaching"), Volumes(0, 1)),
        (ours("attached", "reserving"), Volumes(1, 1)),
    ],
)
def test_our_rows_have_volumes_with_how_far_they_are(rows: list[Any], expected: Volumes) -> None:
    assert round_trips.read_ours(rows) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("vm", None, None, 0)], Volumes(0, 0)),
        ([("vm", None, None, 1)], Volumes(0, 0)),
        ([("vm", "v1", None, 1)], Volumes(0, 1)),
        ([("vm", "v1", "{}", 1)], Volumes(0, 1)),
        ([("vm", "v1", "{}", 0)], Volumes(1, 0)),
        ([("vm", "v1", "{}", 0), ("vm", "v2", None, 0)], Volumes(1, 1)),
    ],
)
def test_the_real_ones_have_a_row_for_each_volume(rows: list[Any], expected: Volumes) -> None:
    assert round_trips.read_real(rows) == expected


def test_a_way_ends_when_nothing_is_on_its_way() -> None:
    assert Volumes(1, 0).are_there
    assert Volumes(0, 0).are_gone
    for under_way in (Volumes(0, 1), Volumes(1, 1)):
        assert not under_way.are_there
        assert not under_way.are_gone


def row(case: str, kind: str, per_s: float) -> Row:
    return Row(case, kind, Summary(100, per_s, 10.0, 100.0, 200.0, 300.0, 40.0, 5.0, 5.0, 10.0, 0))


def test_ratios_are_of_what_was_timed_in_both_clouds() -> None:
    rows = [row("1 client", "real", 2.0), row("1 client", "ours", 14.0), row("8 clients", "ours", 20.0)]
    assert parts.ratios(rows) == {"attach and detach, 1 client, a second": 7.0}
    assert parts.ratios([*rows, row("8 clients", "real", 0.0)]).keys() == {"attach and detach, 1 client, a second"}
