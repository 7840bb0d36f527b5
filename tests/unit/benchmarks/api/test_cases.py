"""Which parts there are, and what is asked."""

from pathlib import Path

from benchmarks.api import cases, parts
from benchmarks.listing import cloud
from benchmarks.placement.measuring import FULL, Measuring
from benchmarks.placement.peers import Stage
from benchmarks.placement.report import Report


def test_every_part_can_be_run_by_name(tmp_path: Path) -> None:
    known = parts.Parts(Stage(tmp_path), Measuring(Report(), FULL), parts.QUICK)
    assert tuple(known.all()) == parts.PARTS


def test_every_read_has_a_name_of_its_own_and_a_goal() -> None:
    asked = cases.reads(cloud.shown(cases.SERVERS, cases.CELLS))
    assert len({case.name for case in asked}) == len(asked)
    assert all(case.goal is not None and case.requests for case in asked)


def test_shows_are_of_servers_that_their_caller_sees() -> None:
    shown = cloud.shown(cases.SERVERS, cases.CELLS)
    sent = cases.reads(shown)[-1].requests
    assert len(sent) == len(set(sent)) > 40
    assert shown[0].uuid.encode() in sent[0]
    assert f"X-Auth-Token: admin:{cloud.PROJECT}\r\n".encode() in sent[0]


def test_hypervisors_are_asked_for_as_long_as_the_real_one_asks_no_host() -> None:
    detail = next(case for case in cases.reads(()) if case.name == "hypervisors detail")
    assert b"OpenStack-API-Version: compute 2.87\r\n" in detail.requests[0]
