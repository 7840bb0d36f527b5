"""What all cases found: the table, the lines with the ratios, and the same for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks import results
from benchmarks.placement import figures
from benchmarks.placement.cases import Goal
from benchmarks.placement.figures import Measure
from benchmarks.results import Result

_COLUMNS = ("case", "clients", "server", "n", "p50", "p95", "p99", "per s", "app", "db", "ratio", "of", "notes")


@dataclass(frozen=True, slots=True)
class Row:
    """One case at one number of clients, against both servers; ``real`` is None where only ours was asked."""

    case: str
    clients: int
    ours: Measure
    real: Measure | None
    goal: Goal | None = None

    @property
    def by(self) -> str:
        return self.goal.by if self.goal is not None else "cpu"

    @property
    def ratio(self) -> float | None:
        return None if self.real is None else figures.ratio(self.real, self.ours, self.by)

    def plain(self) -> dict[str, object]:
        """Return the row for JSON."""
        return {
            "case": self.case,
            "clients": self.clients,
            "ours": self.ours.plain(),
            "real": None if self.real is None else self.real.plain(),
            "by": self.by,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "goal": None if self.goal is None else self.goal.at_least,
        }


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of something that is not a run of requests, such as memory; more is better."""

    case: str
    real: float
    ours: float
    unit: str
    goal: float

    @property
    def ratio(self) -> float:
        return self.real / self.ours

    def plain(self) -> dict[str, object]:
        """Return the ratio for JSON."""
        figures_ = {"real": round(self.real, 2), "ours": round(self.ours, 2), "ratio": round(self.ratio, 3)}
        return {"case": self.case, **figures_, "unit": self.unit, "goal": self.goal}


@dataclass
class Report:
    """Everything found, in the order it was."""

    machine: Mapping[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    others: list[Result] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)

    def rendered(self) -> str:
        """Return the table, and below it what does not fit into it."""
        parts = ["\n".join(f"{name}: {value}" for name, value in self.machine.items())]
        if self.rows:
            parts.append("Waits, and CPU a request of application and database, in ms.\n" + table(self.rows))
        if self.ratios:
            parts.append("\n".join(_told(ratio) for ratio in self.ratios))
        if self.others:
            parts.append(results.rendered(self.others))
        return "\n\n".join([*parts, "\n".join(self.checks)])

    def verdicts(self) -> list[str]:
        """Return a line for each case with a goal, `` below`` appended where it was missed."""
        lines = [
            verdict(_label(row), row.ratio, row.goal.at_least)
            for row in self.rows
            if row.goal is not None and row.ratio is not None
        ]
        lines += [verdict(ratio.case, ratio.ratio, ratio.goal) for ratio in self.ratios]
        return lines + results.verdicts(self.others)

    def plain(self) -> object:
        """Return everything for JSON."""
        return {
            "machine": dict(self.machine),
            "rows": [row.plain() for row in self.rows],
            "ratios": [ratio.plain() for ratio in self.ratios],
            "others": [other.plain() for other in self.others],
            "checks": self.checks,
        }


def verdict(case: str, value: float, goal: float) -> str:
    """Return the line about one ratio."""
    return f"ratio {case.replace(' ', '-')} {value:.1f} goal {goal:g}" + (" below" if value < goal else "")


def _label(row: Row) -> str:
    return row.case if row.clients == 1 else f"{row.case} clients {row.clients}"


def _told(ratio: Ratio) -> str:
    return f"{ratio.case}: real {ratio.real:.1f} {ratio.unit}, ours {ratio.ours:.1f} {ratio.unit}"


def lines_of(row: Row) -> list[tuple[str, ...]]:
    """Return the cells of one row: a line for each server, the ratio on ours."""
    ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
    lines = [(row.case, str(row.clients), "real", *_cells(row.real), "", "", _refusals(row.real))] if row.real else []
    return [*lines, (row.case, str(row.clients), "ours", *_cells(row.ours), ratio, row.by, _refusals(row.ours))]


def _cells(measure: Measure) -> tuple[str, ...]:
    waits = (f"{wait:.1f}" for wait in (measure.p50_ms, measure.p95_ms, measure.p99_ms))
    return (str(measure.requests), *waits, f"{measure.per_s:.1f}", f"{measure.app_ms:.2f}", f"{measure.db_ms:.2f}")


def _refusals(measure: Measure) -> str:
    """Return what else than success was answered, for nothing of it may be hidden behind a rate."""
    refused = {status: count for status, count in measure.statuses.items() if status >= 300}
    return ", ".join(f"{count} x {status}" for status, count in sorted(refused.items()))


def table(rows: Sequence[Row]) -> str:
    """Return the table of all rows."""
    lines = [_COLUMNS, *(line for row in rows for line in lines_of(row))]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_COLUMNS))]
    left = {0, 2, len(_COLUMNS) - 1}

    def shown(line: Sequence[str]) -> str:
        cells = (
            text.ljust(width) if place in left else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(shown(line) for line in lines)
