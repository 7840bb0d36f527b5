"""Servers under their former name."""

import pytest

from tests.functional.compute_api.cloud import IMAGE_ID, Client, Cloud


@pytest.fixture
def old(cloud: Cloud) -> Client:
    return cloud.client(version="2.102")


def test_servers_are_made_looked_at_changed_and_deleted(cloud: Cloud, old: Client) -> None:
    server = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none"}
    made = old.post("/os-volumes_boot", {"server": server})
    assert made.status_code == 202
    uuid = made.json["server"]["id"]
    assert made.headers["location"].endswith(f"/servers/{uuid}")
    assert old.get(f"/os-volumes_boot/{uuid}").json == old.get(f"/servers/{uuid}").json
    assert [each["id"] for each in old.get("/os-volumes_boot").json["servers"]] == [uuid]
    assert old.get("/os-volumes_boot/detail").json == old.get("/servers/detail").json
    assert old.put(f"/os-volumes_boot/{uuid}", {"server": {"name": "new"}}).json["server"]["name"] == "new"
    assert old.delete(f"/os-volumes_boot/{uuid}").status_code == 204
    assert old.get(f"/servers/{uuid}").status_code == 404


def test_things_are_done_to_servers(cloud: Cloud, old: Client) -> None:
    server = cloud.add_server(host="h1")
    assert old.post(f"/os-volumes_boot/{server.uuid}/action", {"os-stop": None}).status_code == 202
    assert old.post(f"/os-volumes_boot/{server.uuid}/action", {"dance": None}).status_code == 400


def test_bad_bodies_are_refused(old: Client) -> None:
    assert old.post("/os-volumes_boot", {"server": {"name": "vm"}}).status_code == 400
    assert old.get("/os-volumes_boot", any="thing").status_code == 400


def test_the_name_ends_with_2_102(cloud: Cloud) -> None:
    server = cloud.add_server(host="h1")
    new = cloud.client(version="2.103")
    for path in ("", "/detail", f"/{server.uuid}"):
        assert new.get(f"/os-volumes_boot{path}").status_code == 404
    assert new.post(f"/os-volumes_boot/{server.uuid}/action", {"os-stop": None}).status_code == 404
    assert cloud.instance(server.uuid).task_state is None
