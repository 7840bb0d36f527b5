"""A server's metadata."""

import pytest

from nova_lite.model.states import VmState
from tests.functional.compute_api.cloud import CELL1, Client, Cloud


def test_items_come_and_go(cloud: Cloud, client: Client) -> None:
    url = f"/servers/{cloud.add_server(CELL1, metadata={'a': '1'}).uuid}/metadata"
    assert client.get(url).json == {"metadata": {"a": "1"}}
    assert client.post(url, {"metadata": {"b": "2"}}).json == {"metadata": {"a": "1", "b": "2"}}
    assert client.put(f"{url}/b", {"meta": {"b": "3"}}).json == {"meta": {"b": "3"}}
    assert client.get(f"{url}/b").json == {"meta": {"b": "3"}}
    assert client.delete(f"{url}/a").status_code == 204
    assert client.get(url).json == {"metadata": {"b": "3"}}
    assert client.put(url, {"metadata": {"z": "9"}}).json == {"metadata": {"z": "9"}}
    assert client.get(f"{url}/b").status_code == 404
    assert client.delete(f"{url}/b").status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("", {"metadata": {"a": 1}}, id="value is no text"),
        pytest.param("", {"metadata": {"": "x"}}, id="no key"),
        pytest.param("", {"metadata": {"a/b": "x"}}, id="letter no key has"),
        pytest.param("", {"metadata": {"a": "x" * 256}}, id="long value"),
        pytest.param("", {"meta": {}}, id="another word"),
        pytest.param("/a", {"meta": {"b": "x"}}, id="another key than the URL's"),
        pytest.param("/a", {"meta": {"a": "x", "b": "y"}}, id="two items at once"),
    ],
)
def test_bad_items_are_refused(cloud: Cloud, client: Client, path: str, body: object) -> None:
    server = cloud.add_server(CELL1, metadata={"a": "1"})
    assert client.put(f"/servers/{server.uuid}/metadata{path}", body).status_code == 400
    assert cloud.instance(server.uuid).metadata == {"a": "1"}


def test_there_is_a_limit(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL1, metadata={f"k{number}": "" for number in range(128)})
    url = f"/servers/{server.uuid}/metadata"
    assert client.post(url, {"metadata": {"one-more": ""}}).status_code == 403
    assert client.put(f"{url}/one-more", {"meta": {"one-more": ""}}).status_code == 403
    assert client.put(f"{url}/k1", {"meta": {"k1": "changed"}}).status_code == 200


@pytest.mark.parametrize("place", [None, CELL1], ids=["waiting", "in a cell"])
def test_a_server_being_built_refuses(cloud: Cloud, client: Client, place: str | None) -> None:
    server = cloud.add_server(place, vm_state=VmState.BUILDING)
    assert client.post(f"/servers/{server.uuid}/metadata", {"metadata": {"a": "b"}}).status_code == 409


def test_a_locked_server_refuses_its_user(cloud: Cloud, client: Client, admin: Client) -> None:
    server = cloud.add_server(CELL1, is_locked=True)
    assert client.post(f"/servers/{server.uuid}/metadata", {"metadata": {"a": "b"}}).status_code == 409
    assert client.delete(f"/servers/{server.uuid}/metadata/a").status_code == 404
    assert admin.post(f"/servers/{server.uuid}/metadata", {"metadata": {"a": "b"}}).status_code == 200
    assert client.delete(f"/servers/{server.uuid}/metadata/a").status_code == 409


def test_another_projects_server_is_not_there(cloud: Cloud) -> None:
    server = cloud.add_server(CELL1, metadata={"a": "1"})
    stranger = cloud.client("mallory:elsewhere")
    url = f"/servers/{server.uuid}/metadata"
    for answer in (stranger.get(url), stranger.get(f"{url}/a"), stranger.delete(f"{url}/a")):
        assert answer.status_code == 404
    assert stranger.put(url, {"metadata": {}}).status_code == 404
    assert cloud.instance(server.uuid).metadata == {"a": "1"}
