"""Aggregates of a provider, with and without generation."""

import json
from typing import Any

import pytest

from tests.functional.placement_api.conftest import Client

ONE, TWO = (f"aaaaaaaa-0000-4000-8000-{number:012}" for number in (1, 2))
JSON = {"Content-Type": "application/json"}


def members(client: Client, url: str) -> list[str]:
    """Return the aggregates that are shown, in order: they come in any."""
    return sorted(client.get(url).json["aggregates"])


def test_1_1_a_list_replaces_a_list(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/aggregates"
    assert placement.at("1.0").get(url).status_code == 404
    assert placement.at("1.0").put(url, [ONE]).status_code == 404
    old = placement.at("1.1")
    assert old.get(url).json == {"aggregates": []}
    assert old.put(url, [ONE, TWO]).status_code == 200
    assert members(old, url) == [ONE, TWO]
    assert old.put(url, [TWO]).json == {"aggregates": [TWO]}
    assert old.put(url, []).json == {"aggregates": []}
    assert placement.generation(host) == 0, "old clients know nothing of generations here"


def test_1_15_cannot_tell_when(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/aggregates"
    assert "cache-control" not in placement.at("1.14").get(url).headers
    assert {"last-modified", "cache-control"} <= set(placement.at("1.15").get(url).headers)


def test_1_19_under_the_generation_of_the_provider(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/aggregates"
    body: dict[str, Any] = {"aggregates": [ONE], "resource_provider_generation": 0}
    assert placement.at("1.18").put(url, body).status_code == 400
    assert placement.at("1.19").put(url, [ONE]).status_code == 400
    assert placement.at("1.18").get(url).json == {"aggregates": []}
    put = placement.at("1.19").put(url, body)
    assert put.json == {"aggregates": [ONE], "resource_provider_generation": 1}
    assert placement.at("1.19").get(url).json == put.json
    stale = placement.at("1.23").put(url, body)
    assert stale.status_code == 409
    assert stale.json["errors"][0]["code"] == "placement.concurrent_update"
    # The generation rises even where nothing changes.
    assert placement.put(url, body | {"resource_provider_generation": 1}).json["resource_provider_generation"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(["7"], id="no UUID"),
        pytest.param([ONE, ONE], id="twice"),
        pytest.param([7], id="number"),
        pytest.param("x", id="text"),
        pytest.param(None, id="null"),
        pytest.param({}, id="object"),
    ],
)
def test_bad_aggregates(placement: Client, wrong: Any) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/aggregates"
    answer = placement.put(url, {"aggregates": wrong, "resource_provider_generation": 0})
    assert answer.status_code == 400
    assert "aggregates" in answer.json["errors"][0]["detail"]
    assert placement.at("1.18").call("PUT", url, raw=json.dumps(wrong), headers=JSON).status_code == 400
    assert placement.get(url).json == {"aggregates": [], "resource_provider_generation": 0}


def test_unknown_provider(placement: Client) -> None:
    url = f"/resource_providers/{ONE}/aggregates"
    assert placement.get(url).status_code == 404
    assert placement.put(url, {"aggregates": [], "resource_provider_generation": 0}).status_code == 404
