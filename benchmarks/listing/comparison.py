"""Our lists against the real one's: brings both up, runs the parts, returns what was found."""

from collections.abc import Sequence

from benchmarks.listing.parts import PARTS, Parts
from benchmarks.placement import peers, plot
from benchmarks.placement.measuring import Effort, Measuring
from benchmarks.placement.report import Report

#: A page of the real one takes seconds: blocks are long, and few.
QUICK = Effort(rounds=2, block_s=1.2, requests=120)
FULL = Effort(rounds=3, block_s=5.0, requests=300)


def run(*, quick: bool, parts: Sequence[str] = ()) -> Report:
    """Run the parts named, or all; whatever was found until Ctrl-C is returned, too."""
    report = Report(machine=peers.machine())
    try:
        with peers.stage() as stage:
            known = Parts(stage, Measuring(report, QUICK if quick else FULL), quick=quick).all()
            for name in parts or PARTS:
                known[name]()
    except KeyboardInterrupt:
        report.checks.append("Stopped before the end.")
    return report


def drawing(report: Report) -> str | None:
    """Return the plot of each case's wait over the number of clients, or None when too little was measured for one."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in report.rows:
        if row.case not in ("detail page 1", "plain page 1", "show"):
            continue
        if row.real is not None:
            lines.setdefault(f"real, {row.case}", []).append((row.clients, row.real.p50_ms))
        lines.setdefault(f"nova_lite, {row.case}", []).append((row.clients, row.ours.p50_ms))
    if not lines:
        return None
    return plot.svg("Lists of servers", "clients", "wait (p50), ms", lines)
