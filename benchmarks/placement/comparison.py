"""Our Placement against the real one: brings both up, runs the parts, returns what was found."""

from collections.abc import Sequence

from benchmarks.placement import cases, peers, plot
from benchmarks.placement.measuring import FULL, QUICK, Measuring
from benchmarks.placement.parts import PARTS, QUICK_PARTS, Parts
from benchmarks.placement.report import Report


def run(*, quick: bool, parts: Sequence[str] = ()) -> Report:
    """Run the parts named, or all; whatever was found until Ctrl-C is returned, too."""
    report = Report(machine=peers.machine())
    try:
        with peers.stage() as stage:
            known = Parts(stage, Measuring(report, QUICK if quick else FULL), quick=quick).all()
            for name in parts or (QUICK_PARTS if quick else PARTS):
                known[name]()
    except KeyboardInterrupt:
        report.checks.append("Stopped before the end.")
    return report


def drawing(report: Report) -> str | None:
    """Return the plot of cost over size, or None when too little was measured for one."""
    found = {(row.case, row.clients): row for row in report.rows}
    lines: dict[str, list[tuple[float, float]]] = {}
    for limit in cases.LIMITS:
        for size in cases.SIZES:
            row = found.get((f"candidates {size} limit {limit}", 1))
            if row is None:
                continue
            if row.real is not None:
                lines.setdefault(f"real, limit {limit}", []).append((size, row.real.cpu_ms))
            lines.setdefault(f"nova_lite, limit {limit}", []).append((size, row.ours.cpu_ms))
    if not lines:
        return None
    return plot.svg("GET /allocation_candidates", "hosts", "CPU ms a request, application and database", lines)
