"""Traits: the standard ones are there, custom ones come and go, providers carry them."""

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    assert placement.get("/traits/HW_CPU_X86_AVX").status_code == 204
    assert placement.get("/traits/CUSTOM_GOLD").status_code == 404
    assert placement.put("/traits/CUSTOM_GOLD").status_code == 201
    assert placement.put("/traits/CUSTOM_GOLD").status_code == 204
    assert placement.get("/traits?name=startswith:CUSTOM_").json == {"traits": ["CUSTOM_GOLD"]}
    assert placement.get("/traits?name=in:CUSTOM_GOLD,HW_CPU_X86_AVX,NOPE").json["traits"] == [
        "HW_CPU_X86_AVX",
        "CUSTOM_GOLD",
    ]

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
