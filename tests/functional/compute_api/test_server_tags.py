"""Stories of servers' tags."""

import pytest

from nova_lite.model.host import CELL0_UUID
from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, Client, Cloud


@pytest.mark.parametrize("cell", [CELL1, None], ids=["in a cell", "in its build request"])
def test_tags_come_and_go(cloud: Cloud, client: Client, cell: str | None) -> None:
    server = cloud.add_server(cell)
    tags = f"/servers/{server.uuid}/tags"
    assert client.get(tags).json == {"tags": []}
    made = client.put(f"{tags}/fine%20red", None)
    assert (made.status_code, made.text) == (201, "")
    assert made.headers["location"].endswith(f"/v2.1{tags}/fine%20red")
    assert client.put(f"{tags}/fine%20red", None).status_code == 204
    assert client.put(f"{tags}/ünd", None).status_code == 201
    assert client.get(tags).json == {"tags": ["fine red", "ünd"]}
    assert client.get(f"/servers/{server.uuid}").json["server"]["tags"] == ["fine red", "ünd"]
    assert client.get(f"{tags}/fine%20red").status_code == 204
    assert client.get(f"{tags}/Fine%20red").status_code == 404
    assert client.get("/servers", tags="ünd").json["servers"][0]["id"] == server.uuid
    assert client.delete(f"{tags}/ünd").status_code == 204
    assert client.delete(f"{tags}/ünd").status_code == 404
    replaced = client.put(tags, {"tags": ["b", "a", "b"]})
    assert (replaced.status_code, replaced.json) == (200, {"tags": ["b", "a"]})
    assert client.delete(tags).status_code == 204
    assert client.get(tags).json == {"tags": []}


def test_tags_in_a_build_request_stay(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(None, vm_state=VmState.ACTIVE)
    assert client.put(f"/servers/{server.uuid}/tags", {"tags": ["kept"]}).status_code == 200
    assert client.get(f"/servers/{server.uuid}").json["server"]["tags"] == ["kept"]


@pytest.mark.parametrize("tag", ["a" * 61, "a,b"])
def test_a_bad_tag_is_refused(cloud: Cloud, client: Client, tag: str) -> None:
    server = cloud.add_server()
    assert client.put(f"/servers/{server.uuid}/tags/{tag}", None).status_code == 400
    assert client.put(f"/servers/{server.uuid}/tags", {"tags": [tag]}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tags": "red"},
        {"tags": [""]},
        {"tags": [1]},
        {"tags": [], "more": 1},
        {"tags": [f"t{n}" for n in range(51)]},
    ],
)
def test_a_bad_body_is_refused(cloud: Cloud, client: Client, body: object) -> None:
    server = cloud.add_server()
    assert client.put(f"/servers/{server.uuid}/tags", body).status_code == 400


def test_a_server_has_fifty_tags_at_most(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(tags=tuple(f"t{n}" for n in range(50)))
    assert client.put(f"/servers/{server.uuid}/tags/one-more", None).status_code == 400
    assert len(client.get(f"/servers/{server.uuid}/tags").json["tags"]) == 50


@pytest.mark.parametrize(
    ("cell", "state"),
    [
        pytest.param(CELL0_UUID, VmState.ERROR, id="failed"),
        pytest.param(CELL1, VmState.RESCUED, id="rescued"),
        pytest.param(CELL1, VmState.SHELVED_OFFLOADED, id="shelved"),
        pytest.param(None, VmState.BUILDING, id="building"),
    ],
)
def test_tags_are_changed_in_some_states_only(cloud: Cloud, client: Client, cell: str | None, state: VmState) -> None:
    tags = f"/servers/{cloud.add_server(cell, vm_state=state, tags=('red',)).uuid}/tags"
    assert client.put(f"{tags}/green", None).status_code == 409
    assert client.put(tags, {"tags": []}).status_code == 409
    assert client.delete(f"{tags}/red").status_code == 409
    assert client.delete(tags).status_code == 409
    assert client.get(tags).json == {"tags": ["red"]}


def test_there_are_no_tags_before_their_version(cloud: Cloud) -> None:
    server = cloud.add_server()
    for path in ("tags", "tags/red"):
        assert cloud.client(version="2.25").get(f"/servers/{server.uuid}/{path}").status_code == 404


def test_nobody_else_sees_the_tags(cloud: Cloud) -> None:
    server = cloud.add_server(tags=("red",))
    stranger = cloud.client("mallory:elsewhere")
    assert stranger.get(f"/servers/{server.uuid}/tags").status_code == 404
    assert stranger.delete(f"/servers/{server.uuid}/tags").status_code == 404
    assert cloud.instance(server.uuid).tags == ("red",)
