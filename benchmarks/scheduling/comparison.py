"""Boots of our cloud against the real one's: brings clouds up, runs the parts, returns what was found."""

from collections.abc import Sequence

from benchmarks.placement import peers
from benchmarks.scheduling import place
from benchmarks.scheduling.parts import CLOUDS, PARTS, QUICK, QUICK_PARTS, WHOLE, Parts
from benchmarks.scheduling.report import Report


def run(*, quick: bool, parts: Sequence[str] = ()) -> Report:
    """Run the parts named, or all; whatever was found until Ctrl-C is returned, too."""
    report = Report(machine=peers.machine())
    try:
        with place.opened(CLOUDS) as (where, surroundings):
            known = Parts(where, surroundings, report, QUICK if quick else WHOLE).all()
            for name in parts or (QUICK_PARTS if quick else PARTS):
                known[name]()
    except KeyboardInterrupt:
        report.checks.append("Stopped before the end.")
    return report
