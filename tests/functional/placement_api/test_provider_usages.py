"""What is used of a provider, from 1.0: class by class, with the generation."""

import uuid

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}/usages"
    assert placement.at("1.0").get(url).json == {"resource_provider_generation": 0, "usages": {}}
    inventories = {"VCPU": {"total": 4}, "DISK_GB": {"total": 10}}
    body = {"resource_provider_generation": 0, "inventories": inventories}
    assert placement.put(f"/resource_providers/{host}/inventories", body).status_code == 200
    assert placement.at("1.0").get(url).json["usages"] == {"VCPU": 0, "DISK_GB": 0}

    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert placement.claim(first, {host: {"VCPU": 1, "DISK_GB": 5}}).status_code == 204
    assert placement.claim(second, {host: {"VCPU": 2}}).status_code == 204
    assert placement.get(url).json == {"resource_provider_generation": 3, "usages": {"VCPU": 3, "DISK_GB": 5}}
    assert placement.delete(f"/allocations/{first}").status_code == 204
    assert placement.get(url).json["usages"] == {"VCPU": 2, "DISK_GB": 0}


def test_1_15_is_always_of_now(placement: Client) -> None:
    url = f"/resource_providers/{placement.provider('host')}/usages"
    assert "last-modified" not in placement.at("1.14").get(url).headers
    young = placement.at("1.15").get(url)
    assert young.headers["cache-control"] == "no-cache"
    assert "last-modified" in young.headers


def test_unknown_provider(placement: Client) -> None:
    assert placement.get(f"/resource_providers/{uuid.uuid4()}/usages").status_code == 404
    assert placement.get("/resource_providers/nobody/usages").status_code == 404
