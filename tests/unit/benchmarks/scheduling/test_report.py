"""How the comparison is told."""

import json

from benchmarks.scheduling import report
from benchmarks.scheduling.figures import Summary
from benchmarks.scheduling.report import Fact, Ratio, Report, Row


def summary(per_s: float, failed: int = 0) -> Summary:
    return Summary(100, per_s, 10.0, 100.0, 200.0, 300.0, 40.0, 5.0, 5.0, 10.0, failed)


FOUND = Report(
    {"cpus": "2"},
    [Row("boots", 4, 8, "real", summary(1.6)), Row("boots", 4, 8, "ours", summary(30.0, failed=2))],
    [
        Ratio("boots a second 4 hosts 8 clients", 18.75, 15.0),
        Ratio("memory of an idle agent", 1.99, 2.0),
        Ratio("CPU a boot", 9.0, None),
    ],
    [Fact("memory, api", "MB", 100.0, 150.0), Fact("p99", "s", 2.0)],
    ["well"],
)


def test_each_goal_gets_a_line_marked_where_it_was_missed() -> None:
    assert FOUND.verdicts() == [
        "ratio boots-a-second-4-hosts-8-clients 18.8 goal 15",
        "ratio memory-of-an-idle-agent 2.0 goal 2 below",
    ]


def test_the_table_has_both_clouds_and_hides_no_failure() -> None:
    head, real, ours = report.table(FOUND.rows).splitlines()
    assert head.split()[:5] == ["case", "hosts", "clients", "cloud", "n"]
    assert "the real one" in real
    assert "nova_lite" in ours
    assert (real.split()[-1], ours.split()[-1]) == ("60.0", "2")
    assert "2 FAILED" in report.line(FOUND.rows[1])
    assert "FAILED" not in report.line(FOUND.rows[0])


def test_runs_are_found_again() -> None:
    found = FOUND.found("boots", 4, 8, "ours")
    assert found is not None
    assert found.per_s == 30.0
    assert FOUND.found("boots", 100, 8, "ours") is None


def test_everything_is_shown_and_goes_into_json() -> None:
    shown = FOUND.rendered()
    assert "memory, api: the real one 150.0 MB, nova_lite 100.0 MB" in shown
    assert "p99: nova_lite 2.0 s" in shown
    told = json.loads(json.dumps(FOUND.plain()))
    assert told["machine"] == {"cpus": "2"}
    assert [row["cloud"] for row in told["rows"]] == ["real", "ours"]
    assert told["ratios"][2] == {"case": "CPU a boot", "value": 9.0, "goal": None}
    assert told["facts"][1]["real"] is None
    assert told["checks"] == ["well"]
