"""Attaching and detaching volumes in our cloud against the real one's: runs the parts, returns what was found."""

from collections.abc import Sequence

from benchmarks.moves.report import Report
from benchmarks.placement import peers
from benchmarks.scheduling import place
from benchmarks.volumes.clouds import CLOUDS
from benchmarks.volumes.parts import PARTS, QUICK, WHOLE, Parts


def run(*, quick: bool, parts: Sequence[str] = ()) -> Report:
    """Run the parts named, or all; whatever was found until Ctrl-C is returned, too."""
    report = Report(machine=peers.machine())
    try:
        with place.opened(CLOUDS) as (where, surroundings):
            known = Parts(where, surroundings, report, QUICK if quick else WHOLE).all()
            for name in parts or PARTS:
                known[name]()
    except KeyboardInterrupt:
        report.checks.append("Stopped before the end.")
    return report
