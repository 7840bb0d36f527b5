"""How benchmarks show what they found."""

from benchmarks import results


def test_a_case_is_the_median_of_its_samples() -> None:
    found = results.of("boot", [3.0, 1.0, 2.0, 100.0, 2.0], "ms", goal=5.0)
    assert (found.value, found.p95, found.rounds, found.is_missed) == (2.0, 100.0, 5, False)
    assert found.plain()["is_missed"] is False


def test_missed_goals_are_marked() -> None:
    met, missed = results.of("a case", [1.0], "s", goal=3.0), results.of("b", [4.0], "s", goal=3.0)
    unknown = results.of("c", [4.0], "s")
    assert results.verdicts([met, missed, unknown]) == ["goal a-case 1.0 s at most 3", "goal b 4.0 s at most 3 missed"]


def test_the_table_lines_up() -> None:
    table = results.rendered([results.of("a", [1.0], "s", goal=3.0), results.of("a longer name", [10.25], "ms")])
    assert table.splitlines()[0].split() == ["case", "p50", "p95", "unit", "rounds", "goal"]
    assert len({line.index(word) for line, word in zip(table.splitlines(), ("p50", "1.0", "10.2"), strict=True)}) == 1
