"""What all cases found: the table, the lines with the ratios, and the same for JSON. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.placement.report import verdict
from benchmarks.scheduling.figures import Summary

_COLUMNS = (
    "case", "hosts", "clients", "cloud", "n", "boots/s", "POST p50", "p50", "p95", "p99",
    "services", "hosts", "bus", "db", "CPU", "failed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One run of boots in one cloud."""

    case: str
    hosts: int
    clients: int
    kind: str
    summary: Summary

    def plain(self) -> dict[str, object]:
        """Return the row for JSON."""
        named = {"case": self.case, "hosts": self.hosts, "clients": self.clients, "cloud": self.kind}
        return named | self.summary.plain()

    def cells(self) -> tuple[str, ...]:
        """Return the row for the table."""
        found = self.summary
        waits = (f"{wait:,.0f}" for wait in (found.post_p50_ms, found.p50_ms, found.p95_ms, found.p99_ms))
        costs = (found.services_ms, found.hosts_ms, found.bus_ms, found.database_ms, found.cpu_ms)
        name = {"real": "the real one", "ours": "nova_lite"}[self.kind]
        head = (self.case, str(self.hosts), str(self.clients), name, str(found.servers), f"{found.per_s:.1f}")
        return (*head, *waits, *(f"{cost:.1f}" for cost in costs), str(found.failed or ""))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Something that should be at least ``goal``; None: nothing is asked of it."""

    case: str
    value: float
    goal: float | None

    def plain(self) -> dict[str, object]:
        """Return the ratio for JSON."""
        return {"case": self.case, "value": round(self.value, 3), "goal": self.goal}


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure beside the runs, of both clouds or of ours alone."""

    name: str
    unit: str
    ours: float
    real: float | None = None

    def told(self) -> str:
        """Return the fact as a line."""
        real = "" if self.real is None else f"the real one {self.real:,.1f} {self.unit}, "
        return f"{self.name}: {real}nova_lite {self.ours:,.1f} {self.unit}"

    def plain(self) -> dict[str, object]:
        """Return the fact for JSON."""
        return {"name": self.name, "unit": self.unit, "ours": self.ours, "real": self.real}


@dataclass
class Report:
    """Everything found, in the order it was."""

    machine: Mapping[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)

    def found(self, case: str, hosts: int, clients: int, kind: str) -> Summary | None:
        """Return the run of a case, if it was made."""
        for row in self.rows:
            if (row.case, row.hosts, row.clients, row.kind) == (case, hosts, clients, kind):
                return row.summary
        return None

    def rendered(self) -> str:
        """Return the table, and below it what does not fit into it."""
        parts = ["\n".join(f"{name}: {value}" for name, value in self.machine.items())]
        if self.rows:
            parts.append("Waits from POST to ACTIVE, and CPU a server, in ms.\n" + table(self.rows))
        parts += ["\n".join(fact.told() for fact in self.facts), "\n".join(self.checks)]
        return "\n\n".join(part for part in parts if part)

    def verdicts(self) -> list[str]:
        """Return a line for each ratio with a goal, `` below`` appended where it was missed."""
        return [verdict(ratio.case, ratio.value, ratio.goal) for ratio in self.ratios if ratio.goal is not None]

    def plain(self) -> object:
        """Return everything for JSON."""
        return {
            "machine": dict(self.machine),
            "rows": [row.plain() for row in self.rows],
            "ratios": [ratio.plain() for ratio in self.ratios],
            "facts": [fact.plain() for fact in self.facts],
            "checks": self.checks,
        }


def table(rows: Sequence[Row]) -> str:
    """Return the table of all rows."""
    lines = [_COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_COLUMNS))]
    left = {0, 3}

    def shown(line: Sequence[str]) -> str:
        cells = (
            text.ljust(width) if place in left else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(shown(line) for line in lines)


def line(row: Row) -> str:
    """Return what is told of a run as soon as it is over."""
    found = row.summary
    return (
        f"{row.case}, {row.hosts} hosts, {row.clients} clients, {row.kind}: {found.servers} ACTIVE, "
        f"{found.per_s:.1f} boots/s, p50 {found.p50_ms:.0f} ms, p95 {found.p95_ms:.0f} ms, "
        f"{found.cpu_ms:.0f} ms of CPU each" + (f", {found.failed} FAILED" if found.failed else "")
    )
