"""How a run of Tempest is compared with what is expected of it."""

import pytest

from tests.devstack import tempest
from tests.devstack.tempest_table import Outcome, counted, differences, read

TABLE = """\
# What is known.
skip a.Class  # nothing here has it
fail a.b.test_c  # being mended
left a.b.test_x  # now this, now that
"""
EXPECTED = {"a.Class": "skip", "a.b.test_c": "fail", "a.b.test_x": "left"}
AS_EXPECTED = {"a.Class": Outcome("skip"), "a.b.test_c": Outcome("fail"), "a.b.test_d": Outcome("pass")}


def test_a_table_is_read() -> None:
    assert read(TABLE) == EXPECTED


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("skip a.Class", id="no reason"),
        pytest.param("skip a.Class  # ", id="empty reason"),
        pytest.param("flaky a.Class  # sometimes", id="no status"),
        pytest.param("skip a.Other  # x\nfail a.Other  # y", id="twice"),
    ],
)
def test_a_line_that_says_too_little_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        read(line)


def test_a_run_as_expected_differs_in_nothing() -> None:
    assert differences(EXPECTED, AS_EXPECTED, is_whole=True) == []
    assert counted(AS_EXPECTED.values()) == "1 passed, 1 failed, 1 skipped"


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        pytest.param("a.b.test_d", Outcome("fail", "boom"), "a.b.test_d: fail, expected pass. boom", id="new failure"),
        pytest.param("a.b.test_e", Outcome("skip", "no"), "a.b.test_e: skip, expected pass. no", id="new skip"),
        pytest.param("a.b.test_c", Outcome("pass"), "a.b.test_c: pass, expected fail.", id="mended"),
        pytest.param("a.Class", Outcome("fail"), "a.Class: fail, expected skip.", id="fails instead"),
    ],
)
def test_whatever_is_not_expected_is_told(name: str, outcome: Outcome, said: str) -> None:
    more = {"a.b.test_z": Outcome("pass")}
    assert differences(EXPECTED, AS_EXPECTED | more | {name: outcome}, is_whole=True) == [said]


def test_what_never_came_is_missed_in_a_whole_run_only() -> None:
    some = {"a.b.test_d": Outcome("pass")}
    assert differences(EXPECTED, some, is_whole=False) == []
    assert differences({"a.Class": "skip"}, some, is_whole=True) == ["a.Class: never came, expected skip"]


def test_a_run_in_which_nothing_passed_is_not_as_expected() -> None:
    assert differences({}, {}, is_whole=False) == ["no test passed"]


def test_our_table_can_be_read() -> None:
    names = read(tempest.TABLE.read_text())
    assert [name for name in names if not name.startswith("tempest.")] == []
