"""The comparison itself: what it must see, and what it must not mind. No servers."""

import json
from typing import Any

import pytest

from tests.integration.differential.answers import Answer
from tests.integration.differential.comparing import Problem, differences, without_limit
from tests.integration.differential.deliberate import why_meant
from tests.integration.differential.requests import ConsumerGeneration, ProviderGeneration, Request
from tests.integration.differential.stories import tell

_HEADERS = {"content-type": "application/json", "vary": "OpenStack-API-Version", "x-openstack-request-id": "req-1"}
_A, _B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000001"


def answer(document: Any, status: int = 200, **headers: str) -> Answer:
    """Return an answer as a server gives it."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, _HEADERS | told, b"" if document is None else json.dumps(document).encode())


def error(status: int, code: str, detail: str) -> Answer:
    """Return an error as a server tells it."""
    told = {"status": status, "title": "x", "detail": detail, "code": code, "request_id": "req-1"}
    return answer({"errors": [told]}, status)


def candidates(*uuids: str, **capacities: int) -> Answer:
    """Return candidates of one provider each, and their summaries."""
    return answer(
        {
            "allocation_requests": [{"allocations": {uuid: {"resources": {"VCPU": 1}}}} for uuid in uuids],
            "provider_summaries": {
                uuid: {"resources": {"VCPU": {"capacity": capacities.get(uuid[0], 8), "used": 0}}} for uuid in uuids
            },
        }
    )


@pytest.mark.parametrize(
    ("ours", "real", "what"),
    [
        pytest.param(answer({"a": [1, 2]}), answer({"a": [2, 1]}), None, id="order of a list"),
        pytest.param(answer({"a": [1, 1]}), answer({"a": [1]}), "body.a", id="twice in a list"),
        pytest.param(answer({"a": 1}), answer({"a": 2}), "body.a", id="a value"),
        pytest.param(answer({}), answer({"a": None}), "body.a", id="a missing key"),
        pytest.param(answer(None, 204), answer(None, 200), "status", id="status"),
        pytest.param(answer({}), answer({}, cache_control="no-cache"), "cache-control", id="a missing header"),
        pytest.param(answer({}, last_modified="x"), answer({}, last_modified="y"), None, id="another time"),
        pytest.param(answer({}, allow="GET, PUT"), answer({}, allow="PUT, GET"), None, id="order of methods"),
        pytest.param(
            answer({}, location="http://a:1/x"), answer({}, location="http://b:2/x"), None, id="another server's URL"
        ),
        pytest.param(answer({}, location="/x"), answer({}, location="/y"), "location", id="another path"),
        pytest.param(error(409, "a", "words"), error(409, "a", "other words"), None, id="words of an error"),
        pytest.param(error(409, "a", "words"), error(409, "b", "words"), "code", id="code of an error"),
        pytest.param(
            error(409, "a", ""), error(409, "a", "words"), "body.errors[].detail", id="an error without words"
        ),
    ],
)
def test_what_counts(ours: Answer, real: Answer, what: str | None) -> None:
    assert [problem.what for problem in differences(ours, real)] == ([what] if what else [])


@pytest.mark.parametrize(
    ("ours", "what"),
    [
        pytest.param(candidates(_A), None, id="one of all"),
        pytest.param(candidates(_B), None, id="another of all"),
        pytest.param(candidates(_A, _B), "limited candidates", id="too many"),
        pytest.param(candidates("cccccccc-0000-4000-8000-000000000001"), "limited candidates", id="none of all"),
        pytest.param(
            candidates(_A, a=9), f"summaries of limited candidates.{_A}.resources.VCPU.capacity", id="summary"
        ),
    ],
)
def test_limited_candidates_are_some_of_all(ours: Answer, what: str | None) -> None:
    found = differences(ours, candidates(_A), full=candidates(_A, _B))
    assert [problem.what for problem in found][:1] == ([what] if what else [])


def test_a_limit_is_taken_out_of_a_query() -> None:
    limited = Request("GET", "/allocation_candidates?resources=VCPU:1,DISK_GB:2&limit=3", "1.16")
    unlimited = without_limit(limited)
    assert unlimited is not None
    assert (unlimited.path, unlimited.version) == ("/allocation_candidates?resources=VCPU:1,DISK_GB:2", "1.16")
    assert without_limit(unlimited) is None
    assert without_limit(Request("GET", "/resource_providers?limit=1")) is None


def test_generations_are_filled_in_when_a_request_is_sent() -> None:
    body = {"a": [{"resource_provider_generation": ProviderGeneration("p", 1)}], "b": ConsumerGeneration("c", 1)}
    resolved = Request("PUT", "/x", body=body).resolved(
        lambda wanted: 4 if wanted == ProviderGeneration("p", 1) else None
    )
    assert resolved.body == {"a": [{"resource_provider_generation": 5}], "b": None}


def test_a_server_error_of_ours_is_never_meant() -> None:
    request, real = Request("GET", "/x"), error(500, "a", "words")
    assert why_meant(request, error(400, "a", "words"), real, Problem("status", 400, 500))
    assert not why_meant(request, error(500, "b", "words"), real, Problem("code", ["b"], ["a"]))
    assert not why_meant(request, error(500, "a", "words"), error(400, "a", "words"), Problem("status", 500, 400))


@pytest.mark.parametrize(
    ("amount", "capacity", "is_meant"),
    [
        pytest.param(6, 8, True, id="fits, and nine would not"),
        pytest.param(6, 5, False, id="does not fit"),
        pytest.param(9, 20, False, id="not what was asked for"),
    ],
)
def test_candidates_that_the_real_service_loses(amount: int, capacity: int, is_meant: bool) -> None:
    request = Request("GET", "/allocation_candidates?resources=DISK_GB:3&resources1=DISK_GB:3", "1.29")
    ours = answer(
        {
            "allocation_requests": [{"allocations": {_A: {"resources": {"DISK_GB": amount}}}}],
            "provider_summaries": {_A: {"resources": {"DISK_GB": {"capacity": capacity, "used": 0}}}},
        }
    )
    real = answer({"allocation_requests": [], "provider_summaries": {}})
    problem = Problem("body.allocation_requests", "1", "0")
    assert (why_meant(request, ours, real, problem) is not None) is is_meant


def test_a_seed_tells_one_story() -> None:
    assert tell(7) == tell(7)
    assert tell(7).requests != tell(13).requests
    assert {tell(seed).plot for seed in range(6)} == {tell(seed).plot for seed in range(60)}
