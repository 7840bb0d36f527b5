"""Networks, floating IPs and security groups, as old clients ask for them: there are none yet, and that is said."""

import pytest

from tests.functional.compute_api.cloud import IMAGE_ID, Client, Cloud

_LISTS = {
    "/os-networks": "networks",
    "/os-tenant-networks": "networks",
    "/os-floating-ip-pools": "floating_ip_pools",
    "/os-floating-ips": "floating_ips",
    "/os-security-groups": "security_groups",
}
_WANTED = {
    "/os-floating-ips": {"pool": "public"},
    "/os-security-groups": {"security_group": {"name": "web", "description": ""}},
    "/os-security-group-rules": {"security_group_rule": {"ip_protocol": "tcp", "parent_group_id": IMAGE_ID}},
}


@pytest.fixture
def old(cloud: Cloud) -> Client:
    return cloud.client(version="2.35")


@pytest.mark.parametrize("path", _LISTS)
def test_lists_are_empty_and_nothing_is_found(cloud: Cloud, old: Client, path: str) -> None:
    assert old.get(path, any="thing").json == {_LISTS[path]: []}
    if path != "/os-floating-ip-pools":
        assert old.get(f"{path}/{IMAGE_ID}").status_code == 404
    assert cloud.client(version="2.36").get(path).status_code == 404


@pytest.mark.parametrize("path", _WANTED)
def test_nothing_is_made(cloud: Cloud, old: Client, path: str) -> None:
    answer = old.post(path, _WANTED[path])
    assert answer.status_code == 400
    assert "no networks" in answer.json["badRequest"]["message"]
    assert old.post(path, {"bogus": 1}).status_code == 400
    assert cloud.client(version="2.36").post(path, _WANTED[path]).status_code == 404


@pytest.mark.parametrize("path", _WANTED)
def test_nothing_is_deleted(cloud: Cloud, old: Client, path: str) -> None:
    assert old.delete(f"{path}/{IMAGE_ID}").status_code == 404
    assert cloud.client(version="2.36").delete(f"{path}/{IMAGE_ID}").status_code == 404


def test_a_security_group_is_not_changed(old: Client) -> None:
    assert old.put(f"/os-security-groups/{IMAGE_ID}", {"security_group": {"name": "web"}}).status_code == 404
    assert old.put(f"/os-security-groups/{IMAGE_ID}", {}).status_code == 400


@pytest.mark.parametrize("version", ["2.1", "2.35", "2.36", "2.104"])
def test_what_was_taken_out_of_the_api_is_gone_beside_what_is_served(cloud: Cloud, version: str) -> None:
    client = cloud.client(version=version)
    for path in ("/os-networks", "/os-tenant-networks"):
        assert client.post(path, {"network": {}}).status_code == 410
        assert client.delete(f"{path}/{IMAGE_ID}").status_code == 410
