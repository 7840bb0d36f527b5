"""What a benchmark finds, and how it is shown."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One case. ``value`` is the median of ``rounds`` unless the benchmark says otherwise; less is better.

    ``goal`` None means that none is set.
    """

    case: str
    value: float
    unit: str
    p95: float
    rounds: int
    goal: float | None = None

    @property
    def is_missed(self) -> bool:
        return self.goal is not None and self.value > self.goal

    def plain(self) -> dict[str, object]:
        """Return the result for JSON."""
        return asdict(self) | {"is_missed": self.is_missed}


def of(case: str, samples: Sequence[float], unit: str, goal: float | None = None) -> Result:
    """Return the result of a case from its samples."""
    ordered = sorted(samples)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return Result(case, statistics.median(ordered), unit, p95, len(ordered), goal)


def rendered(results: Sequence[Result]) -> str:
    """Return a table."""
    rows = [("case", "p50", "p95", "unit", "rounds", "goal")]
    rows += [
        (
            result.case,
            f"{result.value:.1f}",
            f"{result.p95:.1f}",
            result.unit,
            str(result.rounds),
            "" if result.goal is None else f"{result.goal:g}",
        )
        for result in results
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def verdicts(results: Sequence[Result]) -> list[str]:
    """Return one line for each case with a goal, marked where it is missed."""
    return [
        f"goal {result.case.replace(' ', '-')} {result.value:.1f} {result.unit} at most {result.goal:g}"
        + (" missed" if result.is_missed else "")
        for result in results
        if result.goal is not None
    ]


@dataclass(frozen=True, slots=True)
class Results:
    """The cases of one benchmark, ready to be shown."""

    cases: Sequence[Result]

    def rendered(self) -> str:
        """Return a table."""
        return rendered(self.cases)

    def verdicts(self) -> list[str]:
        """Return one line for each case with a goal."""
        return verdicts(self.cases)

    def plain(self) -> object:
        """Return the cases for JSON."""
        return [case.plain() for case in self.cases]
