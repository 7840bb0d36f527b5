"""Our Compute API against the real one: brings both up, runs the parts, returns what was found."""

from collections.abc import Sequence

from benchmarks.api.parts import PARTS, QUICK, WHOLE, Parts
from benchmarks.placement import peers
from benchmarks.placement.measuring import Effort, Measuring
from benchmarks.placement.report import Report

_QUICK = Effort(rounds=3, block_s=0.6, requests=100)
_FULL = Effort(rounds=5, block_s=2.0, requests=400)


def run(*, quick: bool, parts: Sequence[str] = ()) -> Report:
    """Run the parts named, or all; whatever was found until Ctrl-C is returned, too."""
    report = Report(machine=peers.machine())
    try:
        with peers.stage() as stage:
            known = Parts(stage, Measuring(report, _QUICK if quick else _FULL), QUICK if quick else WHOLE).all()
            for name in parts or PARTS:
                known[name]()
    except KeyboardInterrupt:
        report.checks.append("Stopped before the end.")
    return report
