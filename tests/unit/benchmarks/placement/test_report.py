"""How the comparison is told."""

import json

from benchmarks import results
from benchmarks.placement import report
from benchmarks.placement.cases import Goal
from benchmarks.placement.figures import Measure
from benchmarks.placement.report import Ratio, Report, Row


def measure(cpu_ms: float, **statuses: int) -> Measure:
    counted = {int(name[1:]): count for name, count in statuses.items()} or {200: 10}
    return Measure(10, cpu_ms, cpu_ms, cpu_ms, 1000 / cpu_ms, cpu_ms - 0.1, 0.1, counted)


def test_each_goal_gets_a_line_marked_where_it_was_missed() -> None:
    found = Report(
        rows=[
            Row("claim 1000", 1, measure(5.0), measure(100.0), Goal(20)),
            Row("claim 1000", 8, measure(5.0), measure(100.0)),
            Row("hot", 16, measure(50.0), measure(100.0), Goal(10, "rate")),
            Row("ours alone", 1, measure(5.0), None, Goal(3)),
        ],
        ratios=[Ratio("memory", 105.0, 100.0, "MB", 1.0)],
        others=[results.of("first request", [1.5], "s", 1.0)],
    )
    assert found.verdicts() == [
        "ratio claim-1000 20.0 goal 20",
        "ratio hot-clients-16 2.0 goal 10 below",
        "ratio memory 1.1 goal 1",
        "goal first-request 1.5 s at most 1 missed",
    ]


def test_a_ratio_that_only_rounds_up_to_its_goal_is_below() -> None:
    assert report.verdict("claim", 19.96, 20) == "ratio claim 20.0 goal 20 below"


def test_the_table_has_both_servers_and_hides_no_refusal() -> None:
    rows = [Row("hot", 16, measure(5.0), measure(100.0, s204=7, s409=3), Goal(10)), Row("alone", 1, measure(1.0), None)]
    head, real, ours, alone = report.table(rows).splitlines()
    assert head.split()[:3] == ["case", "clients", "server"]
    assert (real.split()[:3], ours.split()[:3]) == (["hot", "16", "real"], ["hot", "16", "ours"])
    assert real.endswith("3 x 409")
    assert "20.0x" in ours
    assert alone.split()[:3] == ["alone", "1", "ours"]
    assert "x" not in alone.split()[3:]


def test_everything_goes_into_json() -> None:
    found = Report({"cpus": "2"}, [Row("a", 1, measure(5.0), None)], [Ratio("m", 2.0, 1.0, "MB", 1.0)], [], ["well"])
    told = json.loads(json.dumps(found.plain()))
    assert told["machine"] == {"cpus": "2"}
    assert (told["rows"][0]["real"], told["rows"][0]["ratio"]) == (None, None)
    assert told["ratios"][0]["ratio"] == 2.0
    assert told["checks"] == ["well"]
    assert found.rendered().endswith("well")
