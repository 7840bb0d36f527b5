"""Which parts there are, and what is asked."""

from pathlib import Path

from benchmarks.listing import asking, cases, cloud, comparison
from benchmarks.listing.parts import PARTS, Parts
from benchmarks.placement.figures import Measure
from benchmarks.placement.measuring import FULL, Measuring
from benchmarks.placement.peers import Stage
from benchmarks.placement.report import Report, Row


def test_every_part_can_be_run_by_name(tmp_path: Path) -> None:
    assert tuple(Parts(Stage(tmp_path), Measuring(Report(), FULL), quick=False).all()) == PARTS


def test_a_request_names_its_caller_and_version() -> None:
    sent = asking.request("/servers?limit=1").decode()
    assert sent.startswith("GET /v2.1/servers?limit=1 HTTP/1.1\r\n")
    assert f"X-Auth-Token: admin:{cloud.PROJECT}\r\n" in sent
    assert f"OpenStack-API-Version: compute {asking.VERSION}\r\n" in sent
    assert sent.endswith("\r\n\r\n")


def test_cases_have_names_of_their_own_and_goals_only_for_first_pages_and_shows() -> None:
    asked = cases.in_turn(cloud.shown(10_000, 3))
    names = [case.name for case in asked]
    assert len(set(names)) == len(names)
    assert [case.name for case in asked if case.goal] == ["detail page 1", "plain page 1", "show"]


def test_a_late_page_begins_after_its_marker() -> None:
    shown = cloud.shown(10_000, 3)
    after = cases.marker(shown)
    assert f"marker={after} ".encode() in cases.plain(after).requests[0]
    assert cases.plain(after).name == "plain page 9"


def measure(p50_ms: float) -> Measure:
    return Measure(10, p50_ms, p50_ms, p50_ms, 1000 / p50_ms, p50_ms, 0.1, {200: 10})


def test_the_drawing_has_a_line_for_each_server_and_case() -> None:
    rows = [Row("detail page 1", clients, measure(5.0), measure(100.0)) for clients in (1, 8)]
    drawing = comparison.drawing(Report(rows=[*rows, Row("detail by name", 1, measure(5.0), None)]))
    assert drawing is not None
    assert "real, detail page 1" in drawing
    assert "by name" not in drawing
    assert comparison.drawing(Report()) is None
