"""What one run of a case costs, as numbers: percentiles, throughput, CPU per request, ratios. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """One uninterrupted run of a case against one server.

    ``waits_s`` has one entry an answer; CPU is what the server's processes and the database used meanwhile.
    """

    waits_s: Sequence[float]
    took_s: float
    app_cpu_s: float
    db_cpu_s: float
    statuses: Mapping[int, int]

    @property
    def per_s(self) -> float:
        """Return how many answers a second were of success."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300) / self.took_s


@dataclass(frozen=True, slots=True)
class Measure:
    """One case against one server: waits in ms, successes a second, CPU in ms an answer."""

    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_s: float
    app_ms: float
    db_ms: float
    statuses: Mapping[int, int]

    @property
    def cpu_ms(self) -> float:
        """Return what an answer costs, application and database together."""
        return self.app_ms + self.db_ms

    def plain(self) -> dict[str, object]:
        """Return the measure for JSON."""
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return rounded | {"statuses": {str(status): count for status, count in self.statuses.items()}}


def percentile(samples: Sequence[float], part: float) -> float:
    """Return the smallest sample that at least ``part`` (0 to 1) of all samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def of(blocks: Sequence[Block]) -> Measure:
    """Return what ``blocks`` of one case say together.

    Waits are pooled; CPU and throughput are the median block's, so that one disturbed block does not decide.
    """
    waits = [wait * 1000 for block in blocks for wait in block.waits_s]
    statuses: dict[int, int] = {}
    for block in blocks:
        for status, count in block.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return Measure(
        requests=len(waits),
        p50_ms=statistics.median(waits),
        p95_ms=percentile(waits, 0.95),
        p99_ms=percentile(waits, 0.99),
        per_s=statistics.median(block.per_s for block in blocks),
        app_ms=statistics.median(block.app_cpu_s * 1000 / len(block.waits_s) for block in blocks),
        db_ms=statistics.median(block.db_cpu_s * 1000 / len(block.waits_s) for block in blocks),
        statuses=dict(sorted(statuses.items())),
    )


def ratio(real: Measure, ours: Measure, by: str) -> float:
    """Return how many times better ``ours`` is: cheaper by ``cpu``, sooner by ``wall``, more by ``rate``."""
    if by == "cpu":
        return real.cpu_ms / ours.cpu_ms
    if by == "wall":
        return real.p50_ms / ours.p50_ms
    if by == "rate":
        return ours.per_s / real.per_s
    raise ValueError(by)
