"""What runs of boots say, as numbers. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.placement.figures import percentile


@dataclass(frozen=True, slots=True)
class Boot:
    """One server: when it was asked for (seconds since the run began), how long POST and POST to the end took.

    ``outcome`` is ``active``, ``error``, or ``late`` when it was neither within the time it got.
    """

    asked_s: float
    post_s: float
    took_s: float
    outcome: str

    @property
    def ended_s(self) -> float:
        return self.asked_s + self.took_s


@dataclass(frozen=True, slots=True)
class Run:
    """The boots of some clients, in the order they ended."""

    boots: Sequence[Boot]
    clients: int

    @property
    def active(self) -> list[Boot]:
        return [boot for boot in self.boots if boot.outcome == "active"]

    @property
    def outcomes(self) -> dict[str, int]:
        """Return how many servers ended how."""
        found: dict[str, int] = {}
        for boot in self.boots:
            found[boot.outcome] = found.get(boot.outcome, 0) + 1
        return found


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds: of services, of the processes that carry hosts, of the bus and of the database."""

    services: float
    hosts: float
    bus: float
    database: float

    def since(self, before: "Cpu") -> "Cpu":
        """Return what was used between two looks."""
        return Cpu(
            self.services - before.services,
            self.hosts - before.hosts,
            self.bus - before.bus,
            self.database - before.database,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in figures: servers ACTIVE a second, waits from POST in ms, CPU in ms a server."""

    servers: int
    per_s: float
    post_p50_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    services_ms: float
    hosts_ms: float
    bus_ms: float
    database_ms: float
    failed: int

    @property
    def cpu_ms(self) -> float:
        """Return all the CPU that one server takes."""
        return self.services_ms + self.hosts_ms + self.bus_ms + self.database_ms

    def plain(self) -> dict[str, object]:
        """Return the summary for JSON."""
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(self).items()}


def per_s(boots: Sequence[Boot]) -> float:
    """Return how many a second, from the first request to the last end; 0 for none."""
    if not boots:
        return 0.0
    return len(boots) / (max(boot.ended_s for boot in boots) - min(boot.asked_s for boot in boots))


def flow(boots: Sequence[Boot]) -> float:
    """Return how many ended a second between the first and the last end: the rate within a run that goes on around."""
    ends = sorted(boot.ended_s for boot in boots)
    return (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 and ends[-1] > ends[0] else 0.0


def summary(run: Run, cpu: Cpu) -> Summary:
    """Return a run in figures; ``cpu`` is that of the whole run, shared by the servers that became ACTIVE."""
    active = run.active
    waits = [boot.took_s * 1000 for boot in active] or [0.0]
    each_ms = 1000 / max(1, len(active))
    return Summary(
        servers=len(active),
        per_s=per_s(active),
        post_p50_ms=statistics.median([boot.post_s * 1000 for boot in run.boots] or [0.0]),
        p50_ms=statistics.median(waits),
        p95_ms=percentile(waits, 0.95),
        p99_ms=percentile(waits, 0.99),
        services_ms=cpu.services * each_ms,
        hosts_ms=cpu.hosts * each_ms,
        bus_ms=cpu.bus * each_ms,
        database_ms=cpu.database * each_ms,
        failed=len(run.boots) - len(active),
    )


def slots(fleet_hosts: int, each: int, part: float) -> int:
    """Return how many servers fill a cloud to ``part`` (0 to 1) of its slots."""
    return int(fleet_hosts * each * part)


def told(outcomes: Mapping[str, int]) -> str:
    """Return outcomes as words."""
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
