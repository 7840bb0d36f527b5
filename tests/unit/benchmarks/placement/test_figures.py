"""Percentiles, medians over blocks, ratios."""

import pytest

from benchmarks.placement import figures
from benchmarks.placement.figures import Block, Measure


def block(waits_s: list[float], took_s: float = 1.0, app: float = 0.0, db: float = 0.0, **statuses: int) -> Block:
    counted = {int(name[1:]): count for name, count in statuses.items()} or {200: len(waits_s)}
    return Block(waits_s, took_s, app, db, counted)


@pytest.mark.parametrize(
    ("samples", "part", "expected"),
    [
        pytest.param([1.0], 0.99, 1.0, id="one sample"),
        pytest.param([4.0, 1.0, 3.0, 2.0], 0.5, 2.0, id="half of an even number"),
        pytest.param([float(n) for n in range(1, 101)], 0.95, 95.0, id="95 of 100"),
        pytest.param([float(n) for n in range(1, 101)], 0.99, 99.0, id="99 of 100"),
        pytest.param([1.0, 2.0, 3.0], 0.0, 1.0, id="nothing"),
        pytest.param([1.0, 2.0, 3.0], 1.0, 3.0, id="everything"),
    ],
)
def test_percentiles_are_samples(samples: list[float], part: float, expected: float) -> None:
    assert figures.percentile(samples, part) == expected


def test_waits_are_pooled_and_costs_are_those_of_the_median_block() -> None:
    found = figures.of(
        [
            block([0.001, 0.002], took_s=0.01, app=0.004, db=0.001),
            block([0.003, 0.004], took_s=0.02, app=0.006, db=0.002),
            # Somebody else had the machine.
            block([0.5, 0.6], took_s=2.0, app=0.2, db=0.1),
        ]
    )
    assert found.requests == 6
    assert (found.p50_ms, found.p95_ms) == pytest.approx((3.5, 600.0))
    assert (found.app_ms, found.db_ms, found.cpu_ms) == pytest.approx((3.0, 1.0, 4.0))
    assert found.per_s == pytest.approx(100.0)
    assert found.statuses == {200: 6}


def test_only_successes_count_as_throughput() -> None:
    found = figures.of([block([0.1] * 10, took_s=2.0, s204=6, s409=3, s0=1)])
    assert found.per_s == pytest.approx(3.0)
    assert found.plain()["statuses"] == {"0": 1, "204": 6, "409": 3}


def test_ratios_say_how_many_times_better_ours_is() -> None:
    real = Measure(10, p50_ms=100.0, p95_ms=1.0, p99_ms=1.0, per_s=5.0, app_ms=90.0, db_ms=10.0, statuses={})
    ours = Measure(10, p50_ms=4.0, p95_ms=1.0, p99_ms=1.0, per_s=50.0, app_ms=1.5, db_ms=0.5, statuses={})
    assert [figures.ratio(real, ours, by) for by in ("cpu", "wall", "rate")] == [50.0, 25.0, 10.0]
    with pytest.raises(ValueError, match="luck"):
        figures.ratio(real, ours, "luck")
