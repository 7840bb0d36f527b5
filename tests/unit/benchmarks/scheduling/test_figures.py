"""What runs of boots say."""

import pytest

from benchmarks.scheduling import figures
from benchmarks.scheduling.figures import Boot, Cpu, Run

#: Four servers asked for a second apart, each two seconds under way; the third failed.
BOOTS = [Boot(float(number), 0.1, 2.0, "error" if number == 2 else "active") for number in range(4)]


def test_a_rate_is_of_servers_that_became_active_until_the_last_did() -> None:
    found = figures.summary(Run(BOOTS, 1), Cpu(3.0, 0.3, 0.6, 0.9))
    assert (found.servers, found.failed) == (3, 1)
    assert found.per_s == pytest.approx(3 / 5)
    assert (found.p50_ms, found.p99_ms, found.post_p50_ms) == (2000.0, 2000.0, 100.0)
    assert found.cpu_ms == pytest.approx(1600.0)


def test_nothing_active_is_a_rate_of_nothing() -> None:
    found = figures.summary(Run([Boot(0.0, 0.1, 1.0, "error")], 1), Cpu(1.0, 0.0, 0.0, 0.0))
    assert (found.servers, found.per_s, found.failed) == (0, 0.0, 1)
    assert figures.per_s([]) == 0.0


def test_the_flow_of_a_part_is_that_between_its_ends() -> None:
    assert figures.flow(BOOTS) == pytest.approx(1.0)
    assert figures.flow(BOOTS[:1]) == 0.0


def test_outcomes_are_counted_and_told() -> None:
    outcomes = Run([*BOOTS, Boot(9.0, 0.1, 60.0, "late")], 8).outcomes
    assert figures.told(outcomes) == "3 active, 1 error, 1 late"


def test_cpu_is_that_between_two_looks() -> None:
    assert Cpu(3.0, 2.0, 1.0, 5.0).since(Cpu(1.0, 1.0, 1.0, 1.0)) == Cpu(2.0, 1.0, 0.0, 4.0)


def test_a_part_of_all_slots() -> None:
    assert figures.slots(100, 6, 0.98) == 588
