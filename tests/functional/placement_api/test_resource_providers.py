"""Resource providers: create, look, rename, move, look, delete, look."""

import uuid
from email.utils import parsedate_to_datetime

import pytest

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    chosen = str(uuid.uuid4())
    created = placement.post("/resource_providers", {"name": "host-1", "uuid": chosen})
    assert created.status_code == 200
    assert created.headers["location"].endswith(f"/resource_providers/{chosen}")
    assert created.json["generation"] == 0
    assert created.json["root_provider_uuid"] == chosen
    assert created.json["parent_provider_uuid"] is None

    shown = placement.get(f"/resource_providers/{chosen}")
    assert shown.json == created.json
    assert "last-modified" in shown.headers
    assert shown.headers["cache-control"] == "no-cache"

    renamed = placement.put(f"/resource_providers/{chosen}", {"name": "host-one"})
    assert renamed.status_code == 200
    assert [entry["name"] for entry in placement.get("/resource_providers").json["resource_providers"]] == ["host-one"]

    assert placement.delete(f"/resource_providers/{chosen}").status_code == 204
    assert placement.get(f"/resource_providers/{chosen}").status_code == 404
    assert placement.delete(f"/resource_providers/{chosen}").status_code == 404


def test_1_14_a_parent_may_be_told_once(placement: Client) -> None:
    root = placement.provider("root")
    told = {"name": "child", "parent_provider_uuid": root}
    too_early = placement.at("1.13").post("/resource_providers", told)
    assert too_early.status_code == 400
    assert "parent_provider_uuid" in too_early.json["errors"][0]["detail"]
    late = placement.provider("late")
    url = f"/resource_providers/{late}"
    adopted = placement.at("1.14").put(url, {"name": "late", "parent_provider_uuid": root})
    assert adopted.status_code == 200
    assert adopted.json["root_provider_uuid"] == adopted.json["parent_provider_uuid"] == root
    for other in (placement.provider("other"), None):
        moved = placement.at("1.36").put(url, {"name": "late", "parent_provider_uuid": other})
        assert moved.status_code == 400
    assert placement.at("1.14").put(url, {"name": "renamed"}).json["parent_provider_uuid"] == root


def test_1_15_tells_when_it_changed_and_not_to_keep_it(placement: Client) -> None:
    host = placement.provider("host")
    for url in ("/resource_providers", f"/resource_providers/{host}"):
        assert not {"last-modified", "cache-control"} & set(placement.at("1.14").get(url).headers)
        young = placement.at("1.15").get(url)
        assert young.headers["cache-control"] == "no-cache"
        assert parsedate_to_datetime(young.headers["last-modified"]).tzinfo is not None


def test_1_20_answers_what_was_created(placement: Client) -> None:
    old = placement.at("1.19").post("/resource_providers", {"name": "old"})
    assert old.status_code == 201
    assert old.content == b""
    new = placement.at("1.20").post("/resource_providers", {"name": "new"})
    assert new.status_code == 200
    assert new.json == placement.at("1.20").get(f"/resource_providers/{new.json['uuid']}").json
    for created in (old, new):
        assert "/resource_providers/" in created.headers["location"]


def test_1_37_moves_whole_subtrees(placement: Client) -> None:
    """To another parent, to none, to a place further up; never below itself."""
    root, other = placement.provider("root"), placement.provider("other")
    child = placement.provider("child", parent=root)
    grandchild = placement.provider("grandchild", parent=child)
    url = f"/resource_providers/{child}"

    def move(parent: str | None, version: str = "1.37") -> int:
        body = {"name": "child", "parent_provider_uuid": parent}
        return placement.at(version).put(url, body).status_code

    def root_of(provider: str) -> str:
        return str(placement.get(f"/resource_providers/{provider}").json["root_provider_uuid"])

    assert move(other, "1.36") == 400
    assert move(other) == 200
    assert root_of(grandchild) == other
    assert move(None, "1.36") == 400
    assert move(None) == 200
    assert root_of(grandchild) == child
    for loop in (child, grandchild, str(uuid.uuid4())):
        assert move(loop) == 400
    assert root_of(child) == child
    assert move(root) == 200
    assert root_of(grandchild) == root


def test_a_move_raises_no_generation(placement: Client) -> None:
    root, child = placement.provider("root", {"VCPU": 1}), placement.provider("child")
    put = placement.put(f"/resource_providers/{child}", {"name": "child", "parent_provider_uuid": root})
    assert put.json["generation"] == 0
    assert placement.generation(root) == 1


@pytest.mark.parametrize(
    "spelt",
    [
        pytest.param("6f1d9f3e1cbc4c24a8f4fe2f0d2dcb6e", id="without dashes"),
        pytest.param("6F1D9F3E-1CBC-4C24-A8F4-FE2F0D2DCB6E", id="capitals"),
        pytest.param("{6f1d9f3e-1cbc-4c24-a8f4-fe2f0d2dcb6e}", id="braces"),
        pytest.param("urn:uuid:6f1d9f3e-1cbc-4c24-a8f4-fe2f0d2dcb6e", id="URN"),
    ],
)
def test_a_uuid_may_be_spelt_in_many_ways_and_is_kept_in_one(placement: Client, spelt: str) -> None:
    kept = "6f1d9f3e-1cbc-4c24-a8f4-fe2f0d2dcb6e"
    assert placement.post("/resource_providers", {"name": "host", "uuid": spelt}).json["uuid"] == kept
    assert placement.get(f"/resource_providers/{kept}").status_code == 200
    again = placement.post("/resource_providers", {"name": "other", "uuid": kept})
    assert again.json["errors"][0]["code"] == "placement.duplicate_name"


def test_what_is_in_use_stays(placement: Client) -> None:
    host, consumer = placement.provider("host", {"VCPU": 4}), str(uuid.uuid4())
    assert placement.claim(consumer, {host: {"VCPU": 1}}).status_code == 204
    refused = placement.delete(f"/resource_providers/{host}")
    assert refused.status_code == 409
    assert refused.json["errors"][0]["code"] == "placement.resource_provider.inuse"
    assert placement.delete(f"/allocations/{consumer}").status_code == 204
    assert placement.delete(f"/resource_providers/{host}").status_code == 204


def test_1_1_1_6_1_11_1_14_fields_and_links_come_with_their_versions(placement: Client) -> None:
    host = placement.provider("host")
    url = f"/resource_providers/{host}"
    assert set(placement.at("1.0").get(url).json) == {"uuid", "name", "generation", "links"}
    assert "root_provider_uuid" in placement.at("1.14").get(url).json
    rels = {
        version: [link["rel"] for link in placement.at(version).get(url).json["links"]]
        for version in ("1.0", "1.1", "1.6", "1.11")
    }
    assert rels["1.0"] == ["self", "inventories", "usages"]
    assert set(rels["1.1"]) - set(rels["1.0"]) == {"aggregates"}
    assert set(rels["1.6"]) - set(rels["1.1"]) == {"traits"}
    assert set(rels["1.11"]) - set(rels["1.6"]) == {"allocations"}


def test_tree(placement: Client) -> None:
    root = placement.provider("root")
    child = placement.provider("child", parent=root)
    grandchild = placement.provider("grandchild", parent=child)
    other = placement.provider("other")
    assert placement.get(f"/resource_providers/{grandchild}").json["root_provider_uuid"] == root

    in_tree = placement.get(f"/resource_providers?in_tree={child}").json["resource_providers"]
    assert {entry["uuid"] for entry in in_tree} == {root, child, grandchild}

    refused = placement.delete(f"/resource_providers/{child}")
    assert refused.status_code == 409
    assert refused.json["errors"][0]["code"] == "placement.resource_provider.cannot_delete_parent"

    url = f"/resource_providers/{child}"
    assert placement.at("1.36").put(url, {"name": "child", "parent_provider_uuid": other}).status_code == 400
    loop = placement.put(url, {"name": "child", "parent_provider_uuid": grandchild})
    assert loop.status_code == 400
    assert "parent_provider_uuid" in loop.json["errors"][0]["detail"]
    assert placement.put(url, {"name": "child", "parent_provider_uuid": other}).status_code == 200
    assert placement.get(f"/resource_providers/{grandchild}").json["root_provider_uuid"] == other
    assert placement.put(url, {"name": "child", "parent_provider_uuid": None}).status_code == 200
    assert placement.get(f"/resource_providers/{grandchild}").json["root_provider_uuid"] == child
    for provider in (grandchild, child, root, other):
        assert placement.delete(f"/resource_providers/{provider}").status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "name", id="no name"),
        pytest.param({"name": ""}, "name", id="empty name"),
        pytest.param({"name": "x" * 201}, "name", id="long name"),
        pytest.param({"name": "a\x00b"}, "name", id="control character"),
        pytest.param({"name": 7}, "name", id="number for name"),
        pytest.param({"name": "a", "uuid": "no"}, "uuid", id="bad uuid"),
        pytest.param({"name": "a", "colour": "red"}, "colour", id="unknown field"),
        pytest.param({"name": "a", "parent_provider_uuid": str(uuid.uuid4())}, "parent_provider_uuid", id="no parent"),
        pytest.param([], "body", id="no object"),
    ],
)
def test_bad_bodies_name_the_field_and_change_nothing(placement: Client, body: object, field: str) -> None:
    answer = placement.post("/resource_providers", body)
    assert answer.status_code == 400
    assert field in answer.json["errors"][0]["detail"]
    assert placement.get("/resource_providers").json == {"resource_providers": []}


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="malformed"),
        pytest.param(b"[" * 5000, "application/json", 400, id="deep"),
        pytest.param(b'{"name": "a"}', "text/plain", 415, id="wrong type"),
        pytest.param(b'{"name": "a"}', None, 400, id="no type"),
        pytest.param(b'{"name": "\xff"}', "application/json", 400, id="not UTF-8"),
    ],
)
def test_bad_content(placement: Client, content: bytes, content_type: str | None, status: int) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = placement.call("POST", "/resource_providers", headers=headers, raw=content)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("colour=red", id="unknown parameter"),
        pytest.param("uuid=7", id="no uuid"),
        pytest.param("resources=VCPU", id="no amount"),
        pytest.param("resources=VCPU:0", id="zero"),
        pytest.param("resources=NOPE:1", id="unknown class"),
        pytest.param("required=NOPE", id="unknown trait"),
        pytest.param("required=in:!HW_CPU_X86_AVX", id="forbidden among any"),
        pytest.param("member_of=7", id="no aggregate"),
        pytest.param("name=%ff", id="not UTF-8"),
        pytest.param("name=a%00b", id="NUL"),
    ],
)
def test_bad_queries(placement: Client, query: str) -> None:
    answer = placement.get(f"/resource_providers?{query}")
    assert answer.status_code == 400
    assert (
        query.partition("=")[0] in answer.json["errors"][0]["detail"] or "query" in answer.json["errors"][0]["detail"]
    )


def test_taken_names_and_uuids(placement: Client) -> None:
    first = placement.provider("first")
    second = placement.provider("second")
    assert placement.post("/resource_providers", {"name": "first"}).status_code == 409
    assert placement.post("/resource_providers", {"name": "third", "uuid": first}).status_code == 409
    taken = placement.put(f"/resource_providers/{second}", {"name": "first"})
    assert taken.status_code == 409
    assert taken.json["errors"][0]["code"] == "placement.duplicate_name"
    assert placement.generation(second) == 0
