"""Extra specs of flavors."""

import pytest

from tests.functional.compute_api.cloud import Client, Cloud

URL = "/flavors/2/os-extra_specs"


def test_extra_specs_come_and_go(client: Client, admin: Client) -> None:
    assert client.get(URL).json == {"extra_specs": {"a": "b"}}
    added = admin.post(URL, {"extra_specs": {"hw:cpu_policy": "dedicated", "number": 5}})
    assert added.status_code == 200
    assert added.json == {"extra_specs": {"hw:cpu_policy": "dedicated", "number": "5"}}
    assert client.get(f"{URL}/number").json == {"number": "5"}
    assert admin.put(f"{URL}/a", {"a": "c"}).json == {"a": "c"}
    assert client.get(URL).json == {"extra_specs": {"a": "c", "hw:cpu_policy": "dedicated", "number": "5"}}
    assert client.get("/flavors/2").json["flavor"]["extra_specs"]["a"] == "c"
    assert admin.delete(f"{URL}/a").status_code == 200
    for gone in (client.get(f"{URL}/a"), admin.delete(f"{URL}/a")):
        assert gone.status_code == 404
        assert gone.json["itemNotFound"]["message"] == "Flavor 2 has no extra specs with key a."


def test_known_names_are_checked_since_2_86(cloud: Cloud, client: Client, admin: Client) -> None:
    before = client.get(URL).json
    for extra_specs in ({"hw:cpu_policy": "always"}, {"hw:nonsense": "1"}, {"fine": "1", "quota:cpu_shares": "many"}):
        answer = admin.post(URL, {"extra_specs": extra_specs})
        assert answer.status_code == 400, extra_specs
        assert "extra_specs" in answer.json["badRequest"]["message"]
    assert admin.put(f"{URL}/hw:numa_nodes", {"hw:numa_nodes": "0"}).status_code == 400
    assert client.get(URL).json == before
    old = cloud.client("admin:admins", "2.85")
    assert old.post(URL, {"extra_specs": {"hw:nonsense": "1"}}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"extra_specs": []},
        {"extra_specs": {"": "x"}},
        {"extra_specs": {"a/b": "x"}},
        {"extra_specs": {"k" * 256: "x"}},
        {"extra_specs": {"a": "v" * 256}},
        {"extra_specs": {"a": None}},
        {"extra_specs": {"a": ["b"]}},
        {"extra_specs": {"a": "b"}, "more": 1},
    ],
)
def test_bad_bodies_change_nothing(client: Client, admin: Client, body: object) -> None:
    assert admin.post(URL, body).status_code == 400
    assert client.get(URL).json == {"extra_specs": {"a": "b"}}


def test_bad_updates_change_nothing(client: Client, admin: Client) -> None:
    bodies: list[object] = [{"b": "c"}, {"a": "c", "d": "e"}, {}, {"a": {}}, "a"]
    for body in bodies:
        assert admin.put(f"{URL}/a", body).status_code == 400, body
    assert client.get(URL).json == {"extra_specs": {"a": "b"}}


def test_foreign_and_missing_flavors(client: Client, admin: Client) -> None:
    assert client.get("/flavors/9/os-extra_specs").status_code == 404
    assert admin.post("/flavors/nothing/os-extra_specs", {"extra_specs": {"a": "b"}}).status_code == 404
    assert admin.delete("/flavors/nothing/os-extra_specs/a").status_code == 404


def test_only_administrators_change_them(client: Client) -> None:
    for answer in (
        client.post(URL, {"extra_specs": {"x": "y"}}),
        client.put(f"{URL}/a", {"a": "z"}),
        client.delete(f"{URL}/a"),
    ):
        assert answer.status_code == 403
    assert client.get(URL).json == {"extra_specs": {"a": "b"}}
