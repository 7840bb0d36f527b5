"""Server groups: made, looked at, limited, deleted."""

from typing import Any

import pytest

from nova_lite.db.api_tables import QuotaLimitRow, ServerGroupMemberRow, ServerGroupRow
from nova_lite.db.repositories import mappings
from tests.functional.compute_api.cloud import CELL1, Client, Cloud

URL = "/os-server-groups"
NOWHERE = "12345678-1234-4234-8234-123456789abc"


def body(**values: Any) -> dict[str, Any]:
    return {"server_group": {"name": "g", "policy": "affinity", **values}}


def made(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    group: dict[str, Any] = answer.json["server_group"]
    return group


def listed(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [group["name"] for group in answer.json["server_groups"]]


def test_a_group_comes_and_goes(cloud: Cloud, client: Client) -> None:
    group = made(client.post(URL, body(name="web", policy="anti-affinity", rules={"max_server_per_host": "3"})))
    assert group == {
        "id": group["id"],
        "name": "web",
        "policy": "anti-affinity",
        "rules": {"max_server_per_host": 3},
        "members": [],
        "project_id": "demo",
        "user_id": "alice",
    }
    assert client.get(f"{URL}/{group['id']}").json == {"server_group": group}
    assert client.get(URL).json == {"server_groups": [group]}
    assert client.get("/limits").json["limits"]["absolute"]["totalServerGroupsUsed"] == 1
    gone = client.delete(f"{URL}/{group['id']}")
    assert (gone.status_code, gone.text) == (204, "")
    for answer in (client.get(f"{URL}/{group['id']}"), client.delete(f"{URL}/{group['id']}")):
        assert answer.status_code == 404
        assert group["id"] in answer.json["itemNotFound"]["message"]
    assert client.get(URL).json == {"server_groups": []}


def test_members_are_the_servers_that_live(cloud: Cloud, client: Client) -> None:
    group = made(client.post(URL, body()))
    servers = [cloud.add_server(cell).uuid for cell in (CELL1, None, CELL1)]
    with cloud.api_db.writer() as session:
        [row] = session.query(ServerGroupRow).all()
        session.add_all(ServerGroupMemberRow(group_id=row.id, instance_uuid=uuid) for uuid in servers)
        session.add(ServerGroupMemberRow(group_id=row.id, instance_uuid=NOWHERE))
        mappings.queue_for_delete(session, servers[2])
    cloud.break_cell(CELL1)
    assert made(client.get(f"{URL}/{group['id']}"))["members"] == servers[:2]
    with cloud.counted() as statements:
        assert client.get(URL).json["server_groups"][0]["members"] == servers[:2]
    assert len(statements) == 2
    assert client.delete(f"{URL}/{group['id']}").status_code == 204
    assert cloud.rows(cloud.api_db, ServerGroupMemberRow) == []


@pytest.mark.parametrize(
    ("version", "keys"),
    [
        ("2.1", {"policies", "metadata"}),
        ("2.13", {"policies", "metadata", "project_id", "user_id"}),
        ("2.63", {"policies", "metadata", "project_id", "user_id"}),
        ("2.64", {"policy", "rules", "project_id", "user_id"}),
    ],
)
def test_shape_by_version(cloud: Cloud, version: str, keys: set[str]) -> None:
    caller = cloud.client(version=version)
    given = {"policy": "affinity"} if version == "2.64" else {"policies": ["affinity"]}
    group = made(caller.post(URL, {"server_group": {"name": "g", **given}}))
    assert group.keys() == {"id", "name", "members", *keys}
    assert group.get("policies", ["affinity"]) == ["affinity"]
    assert group.get("metadata", {}) == group.get("rules", {}) == {}
    assert caller.get(f"{URL}/{group['id']}").json == {"server_group": group}
    assert caller.get(URL).json == {"server_groups": [group]}


def test_soft_policies_came_later(cloud: Cloud) -> None:
    soft = {"server_group": {"name": "g", "policies": ["soft-affinity"]}}
    assert cloud.client(version="2.14").post(URL, soft).status_code == 400
    assert cloud.client(version="2.15").post(URL, soft).status_code == 200


def test_pages_and_projects(cloud: Cloud, client: Client, admin: Client) -> None:
    other = cloud.client("bob:other")
    for number in range(4):
        made(client.post(URL, body(name=f"demo{number}")))
    theirs = made(other.post(URL, body(name="other")))
    assert listed(client.get(URL)) == [f"demo{number}" for number in range(4)]
    assert listed(client.get(f"{URL}?limit=2&offset=1")) == ["demo1", "demo2"]
    assert listed(client.get(f"{URL}?offset=3")) == ["demo3"]
    assert listed(client.get(f"{URL}?offset={'9' * 30}")) == []
    assert len(listed(client.get(f"{URL}?limit=0"))) == 4
    cloud.conf.set_override("max_limit", 3, group="api")
    assert listed(other.get(f"{URL}?all_projects=1")) == ["other"], "only administrators see others'"
    assert len(listed(admin.get(f"{URL}?all_projects"))) == 5
    assert listed(admin.get(URL)) == []
    for method in ("GET", "DELETE"):
        assert client.request(method, f"{URL}/{theirs['id']}").status_code == 404
        assert admin.request(method, f"{URL}/{theirs['id']}").status_code in (200, 204)


def test_queries_by_version(cloud: Cloud, client: Client) -> None:
    group = made(client.post(URL, body()))
    for query in ("limit=-1", "limit=x", "offset=-1", "offset=x", "color=red"):
        assert client.get(f"{URL}?{query}").status_code == 400, query
    assert cloud.client(version="2.74").get(f"{URL}?color=red").status_code == 200
    assert cloud.client(version="2.101").get(f"{URL}/{group['id']}?color=red").status_code == 200
    assert client.get(f"{URL}/{group['id']}?color=red").status_code == 400
    assert client.delete(f"{URL}/{group['id']}?color=red").status_code == 204


@pytest.mark.parametrize(
    "group",
    [
        {},
        {"name": "g"},
        {"policy": "affinity"},
        {"name": "", "policy": "affinity"},
        {"name": " g", "policy": "affinity"},
        {"name": "x" * 256, "policy": "affinity"},
        {"name": 1, "policy": "affinity"},
        {"name": "g", "policy": "together"},
        {"name": "g", "policies": ["affinity"]},
        {"name": "g", "policy": "affinity", "metadata": {}},
        {"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 2}},
        {"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 0}},
        {"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": "0"}},
        {"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": "x"}},
        {"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": "9" * 20}},
        {"name": "g", "policy": "anti-affinity", "rules": {"color": 2}},
        {"name": "g", "policy": "anti-affinity", "rules": []},
    ],
)
def test_bad_groups_are_refused(cloud: Cloud, client: Client, group: Any) -> None:
    assert client.post(URL, {"server_group": group}).status_code == 400
    assert cloud.rows(cloud.api_db, ServerGroupRow) == []


@pytest.mark.parametrize("policies", [[], ["affinity", "anti-affinity"], ["affinity", "affinity"], "affinity", [1]])
def test_bad_policies_are_refused(cloud: Cloud, policies: Any) -> None:
    answer = cloud.client(version="2.63").post(URL, {"server_group": {"name": "g", "policies": policies}})
    assert answer.status_code == 400


def test_groups_are_limited_by_project_and_by_user(cloud: Cloud, client: Client) -> None:
    with cloud.api_db.writer() as session:
        session.add(QuotaLimitRow(project_id="demo", resource="server_groups", hard_limit=3))
        session.add(QuotaLimitRow(project_id="demo", user_id="bob", resource="server_groups", hard_limit=1))
    bob = cloud.client("bob:demo")
    groups = [made(bob.post(URL, body()))]
    refused = bob.post(URL, body())
    assert refused.status_code == 403
    assert refused.json["forbidden"]["message"] == "Quota exceeded, too many server groups."
    groups += [made(client.post(URL, body())) for _ in range(2)]
    assert client.post(URL, body()).status_code == 403
    detail = client.get("/os-quota-sets/demo/detail?user_id=bob").json["quota_set"]["server_groups"]
    assert detail == {"limit": 1, "in_use": 1, "reserved": 0}
    assert client.get("/os-quota-sets/demo/detail").json["quota_set"]["server_groups"]["in_use"] == 3
    # What is deleted counts no more, at once.
    assert bob.delete(f"{URL}/{groups[0]['id']}").status_code == 204
    made(bob.post(URL, body()))
    assert client.post(URL, body()).status_code == 403
