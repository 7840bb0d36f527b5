"""Inventories: write all, one more, change one, remove it, under the provider's generation."""

import uuid
from typing import Any

import pytest

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/inventories"
    assert placement.get(url).json == {"inventories": {}, "resource_provider_generation": 0}

    put = placement.put(url, {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}})
    assert put.status_code == 200
    assert put.json == placement.get(url).json
    assert put.json["inventories"]["VCPU"] == {
        "total": 8,
        "reserved": 0,
        "min_unit": 1,
        "max_unit": 2147483647,
        "step_size": 1,
        "allocation_ratio": 1.0,
    }
    assert put.json["resource_provider_generation"] == 1

    added = placement.post(url, {"resource_class": "DISK_GB", "total": 100, "resource_provider_generation": 1})
    assert added.status_code == 201
    assert added.headers["location"].endswith(f"{url}/DISK_GB")
    assert placement.post(url, {"resource_class": "DISK_GB", "total": 100}).status_code == 409

    changed = placement.put(f"{url}/DISK_GB", {"resource_provider_generation": 2, "total": 50, "reserved": 50})
    assert changed.status_code == 200
    assert placement.get(f"{url}/DISK_GB").json["total"] == 50

    assert placement.delete(f"{url}/DISK_GB").status_code == 204
    assert placement.get(f"{url}/DISK_GB").status_code == 404
    assert placement.delete(f"{url}/DISK_GB").status_code == 404
    assert placement.delete(url).status_code == 204
    assert placement.get(url).json["inventories"] == {}


def test_stale_generation_changes_nothing(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    url = f"/resource_providers/{host}/inventories"
    for attempt in (
        placement.put(url, {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}}),
        placement.put(f"{url}/VCPU", {"resource_provider_generation": 7, "total": 8}),
    ):
        assert attempt.status_code == 409
        assert attempt.json["errors"][0]["code"] == "placement.concurrent_update"
    assert placement.get(url).json["inventories"]["VCPU"]["total"] == 4


def test_what_is_in_use_stays_but_may_shrink(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4, "DISK_GB": 10})
    assert placement.claim(str(uuid.uuid4()), {host: {"VCPU": 3}}).status_code == 204
    url = f"/resource_providers/{host}/inventories"
    for refused, code in (
        (placement.delete(f"{url}/VCPU"), "placement.concurrent_update"),
        (placement.delete(url), "placement.inventory.inuse"),
        (
            placement.put(url, {"resource_provider_generation": 2, "inventories": {"DISK_GB": {"total": 1}}}),
            "placement.inventory.inuse",
        ),
    ):
        assert refused.status_code == 409
        assert refused.json["errors"][0]["code"] == code
    assert placement.get(url).json["inventories"]["DISK_GB"]["total"] == 10
    shrunk = placement.put(f"{url}/VCPU", {"resource_provider_generation": 2, "total": 1})
    assert shrunk.status_code == 200
    assert placement.used(host) == {"VCPU": 3, "DISK_GB": 0}


@pytest.mark.parametrize(
    ("inventories", "field"),
    [
        pytest.param({"VCPU": {}}, "total", id="no total"),
        pytest.param({"VCPU": {"total": 0}}, "VCPU.total", id="zero total"),
        pytest.param({"VCPU": {"total": 1.5}}, "VCPU.total", id="part of one"),
        pytest.param({"VCPU": {"total": 1 << 40}}, "VCPU.total", id="too many"),
        pytest.param({"VCPU": {"total": 10**30}}, "VCPU.total", id="far too many"),
        pytest.param({"VCPU": {"total": True}}, "VCPU.total", id="yes"),
        pytest.param({"VCPU": {"total": 4, "reserved": -1}}, "VCPU.reserved", id="negative reserve"),
        pytest.param({"VCPU": {"total": 4, "reserved": 5}}, "VCPU.reserved", id="more reserved than there is"),
        pytest.param({"VCPU": {"total": 4, "allocation_ratio": "x"}}, "VCPU.allocation_ratio", id="ratio"),
        pytest.param({"VCPU": {"total": 4, "colour": 1}}, "colour", id="unknown field"),
        pytest.param({"vcpu": {"total": 4}}, "vcpu", id="small letters"),
        pytest.param({"CUSTOM_NOPE": {"total": 4}}, "CUSTOM_NOPE", id="unknown class"),
    ],
)
def test_bad_inventories_name_the_field_and_change_nothing(
    placement: Client, inventories: dict[str, Any], field: str
) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/inventories"
    answer = placement.put(url, {"resource_provider_generation": 0, "inventories": inventories})
    assert answer.status_code == 400
    assert field in answer.json["errors"][0]["detail"]
    assert placement.get(url).json == {"inventories": {}, "resource_provider_generation": 0}


def test_1_5_removes_all_at_once(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4, "DISK_GB": 10})
    url = f"/resource_providers/{host}/inventories"
    refused = placement.at("1.4").delete(url)
    assert refused.status_code == 405
    assert placement.at("1.5").delete(url).status_code == 204
    assert placement.get(url).json == {"inventories": {}, "resource_provider_generation": 2}


def test_1_15_tells_when_inventories_changed(placement: Client) -> None:
    """Neither claims nor traits count; without inventories there is nothing to tell."""
    host, empty = placement.provider("host", {"VCPU": 4}), placement.provider("empty")
    urls = [f"/resource_providers/{host}/inventories{part}" for part in ("", "/VCPU")]
    before = [placement.at("1.15").get(url).headers["last-modified"] for url in urls]
    placement.set_traits(host, "HW_CPU_X86_AVX")
    assert placement.claim(str(uuid.uuid4()), {host: {"VCPU": 1}}).status_code == 204
    assert [placement.at("1.15").get(url).headers["last-modified"] for url in urls] == before
    assert "last-modified" not in placement.at("1.14").get(urls[0]).headers
    nothing = placement.at("1.15").get(f"/resource_providers/{empty}/inventories")
    assert "last-modified" not in nothing.headers
    assert nothing.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "inventory",
    [
        pytest.param({"total": 4, "reserved": 4}, id="all reserved"),
        pytest.param({"total": 4, "allocation_ratio": 0}, id="ratio of nothing"),
        pytest.param({"total": 4, "reserved": 1, "allocation_ratio": 0.25}, id="less than one"),
    ],
)
def test_1_26_may_offer_nothing(placement: Client, inventory: dict[str, Any]) -> None:
    host = placement.provider("host")
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": inventory}}
    url = f"/resource_providers/{host}/inventories"
    refused = placement.at("1.25").put(url, body)
    assert refused.status_code == 400
    assert "VCPU" in refused.json["errors"][0]["detail"]
    assert placement.at("1.26").put(url, body).status_code == 200
    assert placement.get("/resource_providers?resources=VCPU:1").json == {"resource_providers": []}


def test_which_generation_is_asked_where(placement: Client) -> None:
    """Replacing wants the present one and takes no other, one that never was included; the rest wants none."""
    host = placement.provider("host", {"VCPU": 4})
    url = f"/resource_providers/{host}/inventories"
    for stale in (0, 2, -1, 2**62):
        for answer in (
            placement.put(url, {"resource_provider_generation": stale, "inventories": {}}),
            placement.put(f"{url}/VCPU", {"resource_provider_generation": stale, "total": 8}),
        ):
            assert answer.status_code == 409
            assert answer.json["errors"][0]["code"] == "placement.concurrent_update"
    assert placement.put(f"{url}/VCPU", {"total": 8}).status_code == 400
    added = placement.post(url, {"resource_class": "DISK_GB", "total": 9, "resource_provider_generation": 77})
    assert added.status_code == 201
    assert added.json["resource_provider_generation"] == 2
    assert placement.delete(f"{url}/DISK_GB").status_code == 204
    assert placement.generation(host) == 3


def test_what_is_not_there(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    url = f"/resource_providers/{host}/inventories"
    body = {"resource_provider_generation": 1, "total": 8}
    assert placement.get(f"{url}/DISK_GB").status_code == 404
    assert placement.delete(f"{url}/DISK_GB").status_code == 404
    assert placement.put(f"{url}/DISK_GB", body).status_code == 400, "a class without inventory here"
    assert placement.put(f"{url}/CUSTOM_NOPE", body).status_code == 404, "no class at all"
    assert placement.post(url, {"resource_class": "CUSTOM_NOPE", "total": 1}).status_code == 400
    assert placement.generation(host) == 1


def test_an_inventory_may_be_sent_back_as_it_was_read(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": {"total": 4, "allocation_ratio": 16.0}})
    url = f"/resource_providers/{host}/inventories"
    read = placement.get(f"{url}/VCPU").json
    body = {"resource_provider_generation": read["resource_provider_generation"], "inventories": {"VCPU": read}}
    assert placement.put(url, body).status_code == 200
    assert placement.get(f"{url}/VCPU").json == read | {"resource_provider_generation": 2}


def test_unknown_provider(placement: Client) -> None:
    for nobody in (str(uuid.uuid4()), "nobody"):
        url = f"/resource_providers/{nobody}/inventories"
        assert placement.get(url).status_code == 404
        assert placement.put(url, {"resource_provider_generation": 0, "inventories": {}}).status_code == 404
