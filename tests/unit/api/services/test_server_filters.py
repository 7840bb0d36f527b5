"""Filters and order of lists of servers, as clients write them."""

import random
import re
import time
from datetime import datetime

import pytest
import sqlalchemy as sa

from nova_lite.api.services import server_filters
from nova_lite.db.repositories.instance_lists import Pattern
from nova_lite.errors import Invalid
from nova_lite.model.states import TaskState, VmState

TEXTS = ("", "web", "web1", "a web", "aaab", "100%", "a_b", "a/b", "a\\b", "A", "Ä")
PLAIN = ("", "web", "^web", "web$", "^web$", "w.b", "a.*b", "^a.*b$", ".*", "^.*$", "a.*a.*b", r"a\.b", "^", "$")
SPECIAL_TO_LIKE = ("%", "_", "/")


@pytest.mark.parametrize("expression", [*PLAIN, *SPECIAL_TO_LIKE])
def test_patterns_agree_with_regular_expressions(expression: str) -> None:
    pattern = server_filters.pattern("name", expression)
    for text in TEXTS:
        assert pattern.matches(text) == (re.search(expression, text) is not None), text


@pytest.mark.parametrize("seed", range(20))
def test_patterns_agree_with_like(seed: int) -> None:
    dice = random.Random(seed)
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sa.text("PRAGMA case_sensitive_like=ON"))
        for _ in range(50):
            expression = "".join(dice.choice(["a", "b", ".", ".*", "%", "_", "/"]) for _ in range(dice.randrange(6)))
            expression = dice.choice(["", "^"]) + expression + dice.choice(["", "$"])
            text = "".join(dice.choice("ab%_/") for _ in range(dice.randrange(7)))
            pattern = server_filters.pattern("name", expression)
            is_like = connection.scalar(sa.select(sa.literal(text).like(pattern.like, escape="/")))
            is_found = re.search(expression, text) is not None
            assert (pattern.matches(text), bool(is_like)) == (is_found, is_found), (expression, text)
    engine.dispose()


MORE = ("[ab]", "^a+b$", "w?eb", "[^a-w]b", r"^.*a[0-9_. -]*$", "a/*b", r"^.*eb[0-9]+$", r"a\.?b", "Ä+", "a|*b")


@pytest.mark.parametrize("expression", MORE)
def test_expressions_agree_with_regular_ones_in_python_and_sql(expression: str) -> None:
    made = server_filters.expression(expression)
    assert made is not None
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        for text in (*TEXTS, "a|b", "a.b", "ÄÄ"):
            is_found = re.search(expression.replace("|", r"\|"), text) is not None
            assert made.matches(text) == is_found, text
            assert bool(connection.scalar(sa.select(made.condition(sa.literal(text))))) == is_found, text
    engine.dispose()


@pytest.mark.parametrize(
    "expression",
    [
        *PLAIN,
        *SPECIAL_TO_LIKE,
        "(a+)+$",
        "[ab",
        "[z-a]",
        "[_-z]",
        "[a-c-e]",
        "a{2}",
        r"\d+",
        "a++",
        "a+?",
        "^a+b+c+d+",
        "a+b+c+",
    ],
)
def test_what_is_no_such_expression(expression: str) -> None:
    assert server_filters.expression(expression) is None


@pytest.mark.parametrize("expression", ["(a+)+$", "[z-a]", "a{2}", "a+b+c+", "*", r"\d", "a^b", "a$b", "a\\"])
def test_what_could_take_for_ever_is_refused(expression: str) -> None:
    with pytest.raises(Invalid, match="name"):
        server_filters.pattern("name", expression)


def test_a_long_pattern_takes_no_time() -> None:
    pattern = server_filters.pattern("name", ".*a" * 80 + "$")
    began = time.monotonic()
    assert not pattern.matches("a" * 254 + "b")
    assert time.monotonic() - began < 400  # a pattern that backtracks takes for ever


def test_an_empty_pattern_is_in_everything() -> None:
    assert Pattern(((),)).matches("anything")


@pytest.mark.parametrize(
    ("keys", "directions", "order"),
    [
        pytest.param([], [], [("created_at", True), ("uuid", True)], id="newest first"),
        pytest.param([], ["asc"], [("created_at", False), ("uuid", False)], id="oldest first"),
        pytest.param(
            ["display_name"],
            ["asc"],
            [("display_name", False), ("uuid", False)],
            id="a key of one's own",
        ),
        pytest.param(["display_name"], ["desc"], [("display_name", True), ("uuid", False)], id="ties go up"),
        pytest.param(
            ["host", "key_name", "node"],
            ["asc", "desc"],
            [("host", False), ("key_name", True), ("node", False), ("uuid", False)],
            id="the first direction is everybody's",
        ),
        pytest.param(["deleted", "uuid"], [], [("uuid", True)], id="meaningless key"),
        pytest.param(["deleted", "uuid"], ["desc", "asc"], [("uuid", False)], id="meaningless key with its direction"),
        pytest.param(["deleted"], ["asc"], [("created_at", True), ("uuid", True)], id="meaningless key alone"),
        pytest.param(["uuid", "uuid"], ["asc", "desc"], [("uuid", False)], id="key twice"),
    ],
)
def test_orders(keys: list[str], directions: list[str], order: list[tuple[str, bool]]) -> None:
    assert server_filters.sort_order(keys, directions) == order


@pytest.mark.parametrize(
    ("keys", "directions"),
    [([], ["asc", "desc"]), (["uuid"], ["asc", "asc"]), (["deleted", "uuid"], ["asc", "asc", "asc"])],
)
def test_a_direction_needs_a_key(keys: list[str], directions: list[str]) -> None:
    with pytest.raises(Invalid, match="sort_dir"):
        server_filters.sort_order(keys, directions)


def test_a_stroke_is_itself() -> None:
    pattern = server_filters.pattern("name", "a|b")
    assert pattern.matches("xa|b")
    assert not pattern.matches("a")


def test_expressions_are_bounded() -> None:
    with pytest.raises(Invalid, match="name"):
        server_filters.pattern("name", "a" * 1025)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [(["DELETED"], True), (["deleted", "HAPPY"], True), (["DELETED", "ACTIVE"], False), (["ACTIVE"], False)],
)
def test_deleted_is_asked_for_alone(statuses: list[str], expected: bool) -> None:
    assert server_filters.asks_deleted({"status": statuses}) is expected


def test_a_status_overrides_states() -> None:
    asked = {"status": ["SHUTOFF"], "vm_state": ["active"], "task_state": ["spawning"]}
    query = server_filters.instance_query(asked, [], project_id="p", known_status_only=True)
    assert query is not None
    assert query.equal == {"project_id": "p"}


def test_a_status_means_states() -> None:
    query = server_filters.instance_query({"status": ["active"]}, [], project_id="p", known_status_only=True)
    assert query is not None
    assert query.states is not None
    assert (VmState.ACTIVE, None) in query.states
    assert (VmState.ACTIVE, TaskState.POWERING_OFF) in query.states
    assert (VmState.ACTIVE, TaskState.REBOOTING) not in query.states


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-01-02T03:04:05Z", datetime.fromisoformat("2026-01-02T03:04:05"), id="UTC"),
        pytest.param("2026-01-02T03:04:05+02:00", datetime.fromisoformat("2026-01-02T01:04:05"), id="offset"),
        pytest.param("2026", datetime.fromisoformat("2026-01-01"), id="year"),
        pytest.param("2026-02", datetime.fromisoformat("2026-02-01"), id="month"),
        pytest.param("2026-01-02", datetime.fromisoformat("2026-01-02"), id="day"),
        pytest.param("2026-01-02 03:04", datetime.fromisoformat("2026-01-02T03:04"), id="with a space"),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert server_filters.moment("changes-since", text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-W01-1", "2026-13", "2026-13-01", "0001-01-01T00:00:00+23:59"])
def test_no_times(text: str) -> None:
    with pytest.raises(Invalid, match="changes-since"):
        server_filters.moment("changes-since", text)


@pytest.mark.parametrize(("value", "expected"), [("", True), ("1", True), ("True", True), ("0", False)])
def test_all_projects(value: str, expected: bool) -> None:
    assert server_filters.asks_all_projects({"all_tenants": [value]}) is expected
