"""Which parts there are."""

from pathlib import Path

from benchmarks.placement.measuring import FULL, Measuring
from benchmarks.placement.parts import PARTS, QUICK_PARTS, Parts
from benchmarks.placement.peers import Stage
from benchmarks.placement.report import Report


def test_every_part_can_be_run_by_name(tmp_path: Path) -> None:
    assert tuple(Parts(Stage(tmp_path), Measuring(Report(), FULL), quick=False).all()) == PARTS
    assert set(QUICK_PARTS) < set(PARTS)
