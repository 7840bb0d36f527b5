"""Quotas bind: whatever is counted stops at its limit, and goes on where something was freed."""

from typing import Any

import pytest

from nova_lite.db.api_tables import BuildRequestRow, InstanceMappingRow, QuotaLimitRow
from nova_lite.model.flavor import Flavor
from tests.functional.compute_api.cloud import CELL1, CELL2, IMAGE_ID, Client, Cloud

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/ me@here"


def limit(cloud: Cloud, resource: str, number: int, *, user: str = "") -> None:
    with cloud.api_db.writer() as session:
        session.add(QuotaLimitRow(project_id="demo", user_id=user, resource=resource, hard_limit=number))


def create(client: Client, **values: Any) -> Any:
    server = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none", **values}
    return client.post("/servers", {"server": server})


def said(answer: Any) -> str:
    assert answer.status_code == 403, answer.text
    message: str = answer.json["forbidden"]["message"]
    return message


def test_a_user_stops_at_the_users_limit_and_others_go_on(cloud: Cloud, client: Client) -> None:
    limit(cloud, "instances", 3)
    limit(cloud, "instances", 1, user="alice")
    assert create(client).status_code == 202
    assert said(create(client)) == "Quota exceeded for instances: requested 1, used 1 of 1"
    bob = cloud.client("bob:demo")
    assert create(bob, min_count=1, max_count=9).status_code == 202
    assert said(create(bob)) == "Quota exceeded for instances: requested 1, used 3 of 3"
    assert len(cloud.rows(cloud.api_db, InstanceMappingRow)) == 3


def test_a_limit_binds_where_the_configuration_has_none(cloud: Cloud, client: Client) -> None:
    for resource in ("instances", "cores", "ram"):
        cloud.conf.set_override(resource, -1, "quota")
    assert create(client, min_count=12).status_code == 202
    limit(cloud, "instances", 13)
    assert create(client).status_code == 202
    assert said(create(client)) == "Quota exceeded for instances: requested 1, used 13 of 13"
    assert len(cloud.rows(cloud.api_db, InstanceMappingRow)) == 13


def test_a_user_never_has_more_than_the_project(cloud: Cloud, client: Client) -> None:
    limit(cloud, "cores", 2)
    limit(cloud, "cores", -1, user="alice")
    assert said(create(client, min_count=3)) == "Quota exceeded for cores: requested 3, used 0 of 2"


def test_every_limit_in_the_way_is_named(cloud: Cloud, client: Client) -> None:
    cloud.add_server(flavor=Flavor("s", "s", 1, 512, 1))
    for resource, number in (("instances", 2), ("cores", 2), ("ram", 1024)):
        limit(cloud, resource, number)
    assert said(create(client, flavorRef="2", min_count=2)) == (
        "Quota exceeded for instances: requested 2, used 1 of 2; cores: requested 4, used 1 of 2; "
        "ram: requested 4096, used 512 of 1024"
    )
    assert cloud.rows(cloud.api_db, BuildRequestRow) == []


def test_servers_of_dead_cells_count(cloud: Cloud, client: Client) -> None:
    limit(cloud, "instances", 3)
    for cell in (CELL1, CELL2):
        cloud.add_server(cell)
    cloud.break_cell(CELL1)
    with cloud.counted() as statements:
        assert create(client).status_code == 202
    assert not [text for text in statements if "FROM instances" in text]
    assert create(client).status_code == 403


@pytest.mark.parametrize("cell", [CELL1, None])
def test_deleting_frees_at_once(cloud: Cloud, client: Client, cell: str | None) -> None:
    server = cloud.add_server(cell)
    limit(cloud, "instances", 1)
    assert create(client).status_code == 403
    assert client.delete(f"/servers/{server.uuid}").status_code == 204
    assert create(client).status_code == 202


def test_the_default_class_binds(client: Client, admin: Client) -> None:
    admin.put("/os-quota-class-sets/default", {"quota_class_set": {"instances": 1, "metadata_items": 1}})
    assert create(client, metadata={"a": "1", "b": "2"}).status_code == 403
    assert create(client, metadata={"a": "1"}).status_code == 202
    assert create(client).status_code == 403


def test_checking_costs_the_same_however_many_cells_and_servers(cloud: Cloud, client: Client) -> None:
    counted = []
    for _ in range(2):
        with cloud.counted() as statements:
            assert create(client).status_code == 202
        counted.append([text for text in statements if "quota_" in text or "sum(" in text])
        cloud.add_server(CELL2)
    [first, later] = counted
    assert len(later) == 3, "the lock, the limits, the use"
    assert len(first) == 5, "the first of a project makes its lock"
    for resource in ("instances", "cores", "ram"):
        limit(cloud, resource, -1)
    with cloud.counted() as statements:
        assert create(client).status_code == 202
    assert not [text for text in statements if "sum(" in text], "what has no limit is not counted"


def test_metadata_items_are_limited_wherever_they_come_from(cloud: Cloud, client: Client) -> None:
    limit(cloud, "metadata_items", 3)
    server = cloud.add_server(metadata={"a": "1"})
    url = f"/servers/{server.uuid}/metadata"
    assert client.post(url, {"metadata": {"b": "1", "c": "1"}}).status_code == 200
    assert said(client.post(url, {"metadata": {"d": "1"}})) == "Maximum number of metadata items exceeds 3"
    assert client.post(url, {"metadata": {"c": "2"}}).status_code == 200
    assert client.put(url, {"metadata": dict.fromkeys("abcd", "1")}).status_code == 403
    assert client.put(f"{url}/d", {"meta": {"d": "1"}}).status_code == 403
    assert client.put(f"{url}/a", {"meta": {"a": "2"}}).status_code == 200
    assert create(client, metadata=dict.fromkeys("abcd", "1")).status_code == 403
    limit(cloud, "metadata_items", 2, user="alice")
    assert create(client, metadata=dict.fromkeys("abc", "1")).status_code == 403
    assert client.put(url, {"metadata": dict.fromkeys("abc", "1")}).status_code == 403
    assert cloud.client("bob:demo").put(url, {"metadata": dict.fromkeys("abc", "1")}).status_code == 200


@pytest.mark.parametrize(("version", "status"), [("2.38", 403), ("2.39", 202)])
@pytest.mark.parametrize("action", ["createImage", "createBackup"])
def test_metadata_of_images_was_limited_once(cloud: Cloud, action: str, version: str, status: int) -> None:
    limit(cloud, "metadata_items", 1)
    server = cloud.add_server(host="h1", user_id="admin")
    wanted: dict[str, Any] = {"name": "copy", "metadata": {"a": "1", "b": "1"}}
    if action == "createBackup":
        wanted |= {"backup_type": "daily", "rotation": 1}
    admin = cloud.client("admin:demo", version)
    assert admin.post(f"/servers/{server.uuid}/action", {action: wanted}).status_code == status
    wanted["metadata"] = {"a": "1"}
    assert admin.post(f"/servers/{server.uuid}/action", {action: wanted}).status_code == (202 if status == 403 else 409)


def test_keypairs_are_limited_by_user_and_freed_at_once(cloud: Cloud, client: Client) -> None:
    def add(caller: Client, name: str) -> Any:
        return caller.post("/os-keypairs", {"keypair": {"name": name, "public_key": KEY}})

    limit(cloud, "key_pairs", 2)
    limit(cloud, "key_pairs", 1, user="bob")
    bob = cloud.client("bob:demo")
    assert [add(client, name).status_code for name in "ab"] == [201, 201]
    assert said(add(client, "c")) == "Quota exceeded, too many key pairs."
    assert [add(bob, name).status_code for name in "ab"] == [201, 403]
    assert client.delete("/os-keypairs/a").status_code == 204
    assert add(client, "c").status_code == 201
    detail = client.get("/os-quota-sets/demo/detail?user_id=bob").json["quota_set"]["key_pairs"]
    assert detail == {"limit": 1, "in_use": 1, "reserved": 0}
