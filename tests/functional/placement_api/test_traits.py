"""Traits: the standard ones are there, custom ones come and go, providers carry them."""

import os_traits

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    assert placement.get("/traits/HW_CPU_X86_AVX").status_code == 204
    assert placement.get("/traits/CUSTOM_GOLD").status_code == 404
    assert placement.put("/traits/CUSTOM_GOLD").status_code == 201
    assert placement.put("/traits/CUSTOM_GOLD").status_code == 204
    assert placement.get("/traits?name=startswith:CUSTOM_").json == {"traits": ["CUSTOM_GOLD"]}
    named = placement.get("/traits?name=in:CUSTOM_GOLD,HW_CPU_X86_AVX,NOPE").json["traits"]
    assert sorted(named) == ["CUSTOM_GOLD", "HW_CPU_X86_AVX"]

    host = placement.provider("host")
    placement.set_traits(host, "CUSTOM_GOLD")
    assert placement.get(f"/resource_providers/{host}/traits").json == {
        "traits": ["CUSTOM_GOLD"],
        "resource_provider_generation": 1,
    }
    assert placement.get("/traits?associated=true").json == {"traits": ["CUSTOM_GOLD"]}
    assert placement.delete("/traits/CUSTOM_GOLD").status_code == 409
    assert placement.delete(f"/resource_providers/{host}/traits").status_code == 204
    assert placement.get(f"/resource_providers/{host}/traits").json["traits"] == []
    assert placement.delete("/traits/CUSTOM_GOLD").status_code == 204
    assert placement.delete("/traits/CUSTOM_GOLD").status_code == 404


def test_1_6_knows_traits(placement: Client) -> None:
    host = placement.provider("host")
    for method, url in (
        ("GET", "/traits"),
        ("GET", "/traits/HW_CPU_X86_AVX"),
        ("PUT", "/traits/CUSTOM_GOLD"),
        ("DELETE", "/traits/CUSTOM_GOLD"),
        ("GET", f"/resource_providers/{host}/traits"),
        ("DELETE", f"/resource_providers/{host}/traits"),
    ):
        assert placement.at("1.5").call(method, url).status_code == 404
        assert placement.at("1.6").call(method, url).status_code < 300
    body = {"resource_provider_generation": 0, "traits": []}
    assert placement.at("1.5").put(f"/resource_providers/{host}/traits", body).status_code == 404
    assert placement.at("1.6").put(f"/resource_providers/{host}/traits", body).status_code == 200


def test_1_15_tells_when_traits_were_made(placement: Client) -> None:
    """Of a provider's traits too: nobody keeps when they were given."""
    placement.put("/traits/CUSTOM_GOLD")
    made = placement.get("/traits/CUSTOM_GOLD").headers["last-modified"]
    host = placement.provider("host")
    placement.set_traits(host, "CUSTOM_GOLD")
    for url in ("/traits?name=in:CUSTOM_GOLD", f"/resource_providers/{host}/traits"):
        assert placement.at("1.15").get(url).headers["last-modified"] == made
        assert "last-modified" not in placement.at("1.14").get(url).headers
    assert placement.at("1.15").put("/traits/CUSTOM_GOLD").headers["last-modified"] == made
    assert "last-modified" in placement.at("1.15").get("/traits?name=in:NOPE").headers


def test_listing(placement: Client) -> None:
    def found(query: str) -> list[str]:
        answer = placement.get(f"/traits?{query}")
        assert answer.status_code == 200, answer.text
        return sorted(answer.json["traits"])

    host = placement.provider("host")
    placement.set_traits(host, "CUSTOM_GOLD", "HW_CPU_X86_AVX")
    placement.put("/traits/CUSTOM_IRON")
    assert set(found("")) == set(os_traits.get_traits()) | {"CUSTOM_GOLD", "CUSTOM_IRON"}
    assert found("name=startswith:CUSTOM_") == ["CUSTOM_GOLD", "CUSTOM_IRON"]
    assert found("name=startswith:custom_gold") == []
    assert found("name=in:CUSTOM_IRON,CUSTOM_NOPE") == ["CUSTOM_IRON"]
    assert found("name=in:") == []
    assert found("associated=true") == ["CUSTOM_GOLD", "HW_CPU_X86_AVX"]
    assert found("associated=TRUE&name=startswith:CUSTOM_") == ["CUSTOM_GOLD"]
    assert found("associated=false&name=startswith:CUSTOM_") == ["CUSTOM_IRON"]
    assert found("name=in:CUSTOM_GOLD&name=in:CUSTOM_IRON") == ["CUSTOM_IRON"], "the last counts"
    assert placement.get("/traits?colour=red").status_code == 400


def test_traits_of_a_provider_are_written_under_its_generation(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/traits"

    def put(generation: int, *traits: str) -> tuple[int, int]:
        answer = placement.put(url, {"resource_provider_generation": generation, "traits": list(traits)})
        return answer.status_code, placement.generation(host)

    assert put(0, "HW_CPU_X86_AVX") == (200, 1)
    assert put(1, "HW_CPU_X86_AVX") == (200, 1), "nothing changed"
    assert put(0, "HW_CPU_X86_SSE") == (409, 1)
    assert put(-1, "HW_CPU_X86_SSE") == (409, 1)
    assert put(1, "HW_CPU_X86_SSE", "HW_CPU_X86_AVX") == (200, 2)
    assert placement.delete(url).status_code == 204
    assert placement.get(url).json == {"traits": [], "resource_provider_generation": 3}
    assert placement.delete(url).status_code == 204
    assert placement.generation(host) == 3


def test_bad_traits(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/traits"
    unknown = placement.put(url, {"resource_provider_generation": 0, "traits": ["CUSTOM_NOPE"]})
    assert unknown.status_code == 400
    assert "CUSTOM_NOPE" in unknown.json["errors"][0]["detail"]
    assert placement.put(url, {"resource_provider_generation": 0, "traits": ["a b"]}).status_code == 400
    assert placement.put(url, {"traits": []}).status_code == 400
    assert placement.put(url, {"resource_provider_generation": 5, "traits": []}).status_code == 409
    assert placement.get(url).json == {"traits": [], "resource_provider_generation": 0}
    for name in ("HW_MINE", "CUSTOM_", "CUSTOM_small", "CUSTOM_" + "X" * 250):
        assert placement.put(f"/traits/{name}").status_code == 400
    assert placement.delete("/traits/HW_CPU_X86_AVX").status_code == 400
    assert placement.get("/traits?name=like:X").status_code == 400
    assert placement.get("/traits?associated=perhaps").status_code == 400
