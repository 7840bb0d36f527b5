"""What was found: the table, the lines with the ratios, and the same for JSON. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.placement.report import verdict
from benchmarks.scheduling.figures import Summary

_FORMAT = "{:20} {:13} {:>4} {:>8} {:>9} {:>8} {:>8} {:>9} {:>9} {:>6}"
_HEAD = ("case", "cloud", "n", "a second", "POST p50", "p50", "p95", "CPU", "services", "failed")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing done to all servers of one cloud."""

    case: str
    kind: str
    summary: Summary

    def told(self) -> str:
        """Return the row for the table."""
        found = self.summary
        waits = (f"{wait:,.0f}" for wait in (found.post_p50_ms, found.p50_ms, found.p95_ms))
        name = {"real": "the real one", "ours": "nova_lite"}[self.kind]
        costs = (f"{found.cpu_ms:.0f}", f"{found.services_ms:.0f}")
        cells = (self.case, name, found.servers, f"{found.per_s:.1f}", *waits, *costs, found.failed or "")
        return _FORMAT.format(*cells).rstrip()

    def plain(self) -> dict[str, object]:
        """Return the row for JSON."""
        return {"case": self.case, "cloud": self.kind} | self.summary.plain()


@dataclass(frozen=True, slots=True)
class LiveMigration:
    """A real guest's way to another host: from the request to its end, and what of that was sending its memory."""

    total_s: float
    data_s: float
    downtime_ms: int
    sent_mib: float

    @property
    def control_s(self) -> float:
        return self.total_s - self.data_s

    def told(self) -> str:
        """Return the migration as a line."""
        return (
            f"live migration of a guest: {self.total_s:.2f} s, of that control plane {self.control_s:.2f} s and data "
            f"{self.data_s:.2f} s ({self.sent_mib:.0f} MiB); the guest stood still for {self.downtime_ms} ms"
        )

    def plain(self) -> dict[str, object]:
        """Return the migration for JSON."""
        return {
            "total_s": round(self.total_s, 3),
            "control_s": round(self.control_s, 3),
            "data_s": round(self.data_s, 3),
            "downtime_ms": self.downtime_ms,
            "sent_mib": round(self.sent_mib, 1),
        }


@dataclass
class Report:
    """Everything found, in the order it was."""

    machine: Mapping[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    guests: list[LiveMigration] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    goal: float = 5.0

    def rendered(self) -> str:
        """Return the table, and below it what does not fit into it."""
        parts = ["\n".join(f"{name}: {value}" for name, value in self.machine.items())]
        if self.rows:
            table = [_FORMAT.format(*_HEAD), *(row.told() for row in self.rows)]
            parts.append("Waits from the first request to the end, and CPU for each, in ms.\n" + "\n".join(table))
        parts += ["\n".join(guest.told() for guest in self.guests), "\n".join(self.checks)]
        return "\n\n".join(part for part in parts if part)

    def verdicts(self) -> list[str]:
        """Return a line for each ratio, `` below`` appended where the goal was missed."""
        return [verdict(case, value, self.goal) for case, value in self.ratios.items()]

    def plain(self) -> object:
        """Return everything for JSON."""
        return {
            "machine": dict(self.machine),
            "rows": [row.plain() for row in self.rows],
            "ratios": [
                {"case": case, "value": round(value, 2), "goal": self.goal} for case, value in self.ratios.items()
            ],
            "guests": [guest.plain() for guest in self.guests],
            "checks": self.checks,
        }
