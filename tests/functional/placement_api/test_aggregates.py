"""Aggregates of a provider, with and without generation."""

import uuid

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    host = placement.provider("host")
    one, two = sorted(str(uuid.uuid4()) for _ in range(2))
    url = f"/resource_providers/{host}/aggregates"
    assert placement.get(url).json == {"aggregates": [], "resource_provider_generation": 0}
    put = placement.put(url, {"aggregates": [one, two], "resource_provider_generation": 0})
    assert put.status_code == 200
    assert put.json == {"aggregates": [one, two], "resource_provider_generation": 1}
    assert placement.put(url, {"aggregates": [], "resource_provider_generation": 0}).status_code == 409
    assert placement.at("1.18").get(url).json == {"aggregates": [one, two]}
    assert placement.at("1.18").put(url, [two]).status_code == 200
    assert placement.get(url).json["aggregates"] == [two]


def test_bad_aggregates(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/aggregates"
    one = str(uuid.uuid4())
    for members in (["7"], [one, one], "x", None):
        answer = placement.put(url, {"aggregates": members, "resource_provider_generation": 0})
        assert answer.status_code == 400
        assert "aggregates" in answer.json["errors"][0]["detail"]
    assert placement.get(url).json == {"aggregates": [], "resource_provider_generation": 0}
    assert placement.at("1.0").get(url).status_code == 404
