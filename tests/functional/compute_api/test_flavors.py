"""Flavors: create, look, describe, page, delete."""

from typing import Any

import pytest

from nova_lite.db.api_tables import FlavorRow
from nova_lite.db.repositories.flavors import SORT_KEYS
from tests.functional.compute_api.cloud import Client, Cloud

BIG = {"name": "big", "id": "b1", "ram": 4096, "vcpus": 4, "disk": 40}


def _names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [flavor["name"] for flavor in answer.json["flavors"]]


def test_a_flavor_from_birth_to_death(cloud: Cloud, client: Client, admin: Client) -> None:
    made = admin.post("/flavors", {"flavor": {**BIG, "swap": 512, "description": "for databases"}})
    assert made.status_code == 200, made.text
    flavor = made.json["flavor"]
    assert flavor == {
        "id": "b1",
        "name": "big",
        "ram": 4096,
        "vcpus": 4,
        "disk": 40,
        "swap": 512,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "os-flavor-access:is_public": True,
        "description": "for databases",
        "extra_specs": {},
        "links": [
            {"rel": "self", "href": "http://falconframework.org/v2.1/flavors/b1"},
            {"rel": "bookmark", "href": "http://falconframework.org/flavors/b1"},
        ],
    }
    assert client.get("/flavors/b1").json["flavor"] == flavor
    described = admin.put("/flavors/b1", {"flavor": {"description": None}})
    assert described.json["flavor"]["description"] is None
    assert admin.delete("/flavors/b1").status_code == 202
    for gone in (client.get("/flavors/b1"), admin.delete("/flavors/b1")):
        assert gone.status_code == 404
        assert gone.json["itemNotFound"]["message"] == "Flavor b1 could not be found."


@pytest.mark.parametrize(
    ("version", "shown", "hidden"),
    [
        pytest.param("2.1", {"swap": "", "rxtx_factor": 1.0}, {"description", "extra_specs"}, id="first"),
        pytest.param("2.55", {"description": None}, {"extra_specs"}, id="description"),
        pytest.param("2.61", {"extra_specs": {"a": "b"}, "swap": ""}, set(), id="extra specs"),
        pytest.param("2.75", {"swap": 0, "OS-FLV-DISABLED:disabled": False}, set(), id="swap is a number"),
        pytest.param("2.102", {}, {"rxtx_factor", "OS-FLV-DISABLED:disabled"}, id="old fields gone"),
    ],
)
def test_shape_by_version(cloud: Cloud, version: str, shown: dict[str, object], hidden: set[str]) -> None:
    caller = cloud.client(version=version)
    one = caller.get("/flavors/2").json["flavor"]
    listed = next(flavor for flavor in caller.get("/flavors/detail").json["flavors"] if flavor["id"] == "2")
    assert one == listed
    assert shown.items() <= one.items()
    assert not hidden & one.keys()
    brief = caller.get("/flavors").json["flavors"][0]
    assert brief.keys() == {"id", "name", "links"} | ({"description"} if version != "2.1" else set())


def test_ids_are_made_up_where_none_is_given_and_numbers_become_text(admin: Client) -> None:
    first = admin.post("/flavors", {"flavor": {"name": "a", "id": None, "ram": "1", "vcpus": "1", "disk": "0"}})
    assert len(first.json["flavor"]["id"]) == 36
    assert admin.post("/flavors", {"flavor": {**BIG, "id": 77}}).json["flavor"]["id"] == "77"


def test_pages_in_any_order_show_everything_once(cloud: Cloud, admin: Client) -> None:
    for number in range(7):
        body = {"name": f"f{number}", "id": f"f{number}", "ram": 100 * (number % 3 + 1), "vcpus": 1, "disk": 0}
        assert admin.post("/flavors", {"flavor": body}).status_code == 200
    everything = set(_names(admin.get("/flavors")))
    for key in sorted(SORT_KEYS.keys() - {"rxtx_factor"}):
        for direction in ("asc", "desc"):
            seen: list[str] = []
            url: str | None = f"/flavors?limit=2&sort_key={key}&sort_dir={direction}"
            while url is not None:
                page = admin.get(url)
                seen += _names(page)
                assert len(page.json["flavors"]) <= 2
                following = page.json.get("flavors_links")
                url = None if following is None else following[0]["href"].partition("/v2.1")[2]
            assert len(seen) == len(set(seen)), (key, direction)
            assert set(seen) == everything
    by_ram = _names(admin.get("/flavors?sort_key=memory_mb&sort_dir=desc&minRam=150"))
    assert by_ram[0] == "m1.small"
    assert "f0" not in by_ram
    assert "f1" in by_ram
    assert "flavors_links" not in admin.get("/flavors?limit=0").json


def test_filters(cloud: Cloud, client: Client, admin: Client) -> None:
    public = _names(client.get("/flavors"))
    assert {"m1.tiny", "m1.small"} <= set(public)
    assert "secret" not in public
    assert _names(client.get("/flavors?is_public=none")) == public
    assert set(_names(admin.get("/flavors?is_public=None"))) == {*public, "secret"}
    assert _names(admin.get("/flavors?is_public=false")) == ["secret"]
    assert _names(client.get("/flavors?minDisk=2")) == ["m1.small"]
    assert _names(client.get("/flavors?name=tin")) == ["m1.tiny"]
    assert _names(client.get("/flavors?name=%25")) == []
    assert _names(cloud.client(version="2.74").get("/flavors?unknown=1")) == public


def test_disabled_flavors_are_listed_for_administrators_only(cloud: Cloud, client: Client, admin: Client) -> None:
    with cloud.api_db.writer() as session:
        session.add(FlavorRow(flavorid="d", name="retired", vcpus=1, memory_mb=1, root_gb=0, disabled=True))
    assert "retired" not in _names(client.get("/flavors"))
    assert "retired" in _names(admin.get("/flavors"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"name": ""}, "name", id="empty name"),
        pytest.param({"name": " x"}, "name", id="space before name"),
        pytest.param({"name": "a\u0007b"}, "name", id="control character"),
        pytest.param({"name": "n" * 256}, "name", id="long name"),
        pytest.param({"id": "a/b"}, "id", id="id with slash"),
        pytest.param({"id": " a"}, "id", id="id with space before"),
        pytest.param({"ram": 0}, "ram", id="no memory"),
        pytest.param({"ram": "99999999999"}, "ram", id="memory past the column"),
        pytest.param({"ram": 2147483648}, "ram", id="memory past the column as a number"),
        pytest.param({"ram": 1.5}, "ram", id="half a MiB"),
        pytest.param({"vcpus": -1}, "vcpus", id="negative CPUs"),
        pytest.param({"vcpus": True}, "vcpus", id="CPUs as a truth value"),
        pytest.param({"disk": "x"}, "disk", id="disk in words"),
        pytest.param({"swap": -1}, "swap", id="negative swap"),
        pytest.param({"os-flavor-access:is_public": "maybe"}, "is_public", id="doubtful truth"),
        pytest.param({"rxtx_factor": 1.0}, "rxtx_factor", id="field of an older version"),
        pytest.param({"color": "red"}, "color", id="unknown field"),
        pytest.param({"description": "a\u0000b"}, "description", id="NUL in description"),
        pytest.param({"description": "d" * 65536}, "description", id="long description"),
    ],
)
def test_bad_bodies_name_the_field_and_change_nothing(
    cloud: Cloud, admin: Client, change: dict[str, object], named: str
) -> None:
    before = len(cloud.rows(cloud.api_db, FlavorRow))
    answer = admin.post("/flavors", {"flavor": {**BIG, **change}})
    assert answer.status_code == 400
    assert named in answer.json["badRequest"]["message"]
    assert len(cloud.rows(cloud.api_db, FlavorRow)) == before


@pytest.mark.parametrize("factor", [0, -1, "0", "0.0", "x", 1e39, "9" * 39])
def test_rxtx_factor_out_of_range(cloud: Cloud, factor: object) -> None:
    answer = cloud.client("admin:admins", "2.101").post("/flavors", {"flavor": {**BIG, "rxtx_factor": factor}})
    assert answer.status_code == 400
    assert "rxtx_factor" in answer.json["badRequest"]["message"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("marker=nothing", "marker"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("is_public=maybe", "is_public"),
        ("minRam=x", "minRam"),
        ("minDisk=1.5", "minDisk"),
        ("minRam=99999999999999", "minRam"),
        ("sort_key=color", "sort_key"),
        ("sort_key=rxtx_factor", "sort_key"),
        ("sort_dir=up", "sort_dir"),
        ("color=red", "color"),
    ],
)
def test_bad_queries_name_the_parameter(admin: Client, query: str, named: str) -> None:
    answer = admin.get(f"/flavors?{query}")
    assert answer.status_code == 400
    assert named in answer.json["badRequest"]["message"]


def test_names_and_ids_are_taken_once(cloud: Cloud, admin: Client) -> None:
    before = len(cloud.rows(cloud.api_db, FlavorRow))
    same_id = admin.post("/flavors", {"flavor": {**BIG, "id": "1"}})
    assert same_id.status_code == 409
    assert same_id.json["conflictingRequest"]["message"] == "Flavor with ID 1 already exists."
    same_name = admin.post("/flavors", {"flavor": {**BIG, "name": "m1.tiny"}})
    assert same_name.json["conflictingRequest"]["message"] == "Flavor with name m1.tiny already exists."
    assert len(cloud.rows(cloud.api_db, FlavorRow)) == before


def test_only_administrators_change_flavors(cloud: Cloud, client: Client) -> None:
    before = len(cloud.rows(cloud.api_db, FlavorRow))
    for answer in (
        client.post("/flavors", {"flavor": BIG}),
        client.put("/flavors/1", {"flavor": {"description": "mine"}}),
        client.delete("/flavors/1"),
    ):
        assert answer.status_code == 403
        assert "os-flavor-manage" in answer.json["forbidden"]["message"]
    assert len(cloud.rows(cloud.api_db, FlavorRow)) == before


def test_describing_came_with_2_55(cloud: Cloud) -> None:
    admin = cloud.client("admin:admins", "2.54")
    assert admin.put("/flavors/1", {"flavor": {"description": "x"}}).status_code == 404
    assert admin.post("/flavors", {"flavor": {**BIG, "description": "x"}}).status_code == 400


def test_each_request_has_few_statements(cloud: Cloud, client: Client, admin: Client) -> None:
    for number in range(20):
        admin.post("/flavors", {"flavor": {**BIG, "name": f"n{number}", "id": f"n{number}"}})
    with cloud.counted() as statements:
        assert len(client.get("/flavors/detail").json["flavors"]) > 20
    assert len(statements) == 1
    with cloud.counted() as statements:
        client.get("/flavors?limit=2&marker=n3")
    assert len(statements) == 2
    with cloud.counted() as statements:
        client.get("/flavors/1")
    assert len(statements) == 1
