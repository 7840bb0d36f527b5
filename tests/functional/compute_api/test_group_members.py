"""Servers that are put into server groups when they are made."""

from typing import Any

import pytest

from nova_lite.db.api_tables import ServerGroupMemberRow
from tests.functional.compute_api.cloud import CELL1, Client, Cloud
from tests.functional.compute_api.test_server_creation import body, nothing_is_written


def _group(caller: Client, policy: str = "anti-affinity") -> str:
    answer = caller.post("/os-server-groups", {"server_group": {"name": "g", "policy": policy}})
    assert answer.status_code == 200, answer.text
    return str(answer.json["server_group"]["id"])


def _boot(caller: Client, hints: dict[str, Any], **more: Any) -> Any:
    return caller.post("/servers", {**body(**more), "os:scheduler_hints": hints})


def _booted(caller: Client, group: str, **more: Any) -> str:
    answer = _boot(caller, {"group": group}, **more)
    assert answer.status_code == 202, answer.text
    return str(answer.json["server"]["id"])


def _members(caller: Client, group: str) -> list[str]:
    found: list[str] = caller.get(f"/os-server-groups/{group}").json["server_group"]["members"]
    return found


def test_a_server_is_a_member_of_its_group_until_it_is_deleted(cloud: Cloud, client: Client) -> None:
    group = _group(client)
    uuid = _booted(client, group)
    assert _members(client, group) == [uuid]
    assert client.get(f"/servers/{uuid}").json["server"]["server_groups"] == [group]
    assert client.put(f"/servers/{uuid}", {"server": {"name": "n"}}).json["server"]["server_groups"] == [group]
    assert "server_groups" not in cloud.client(version="2.70").get(f"/servers/{uuid}").json["server"]
    assert client.delete(f"/servers/{uuid}").status_code == 204
    assert _members(client, group) == []


def test_servers_without_a_group_show_none(cloud: Cloud, client: Client) -> None:
    assert client.get(f"/servers/{cloud.add_server(CELL1).uuid}").json["server"]["server_groups"] == []


def test_the_group_may_go_before_its_servers(client: Client) -> None:
    group = _group(client)
    uuid = _booted(client, group)
    assert client.delete(f"/os-server-groups/{group}").status_code == 204
    assert client.get(f"/servers/{uuid}").json["server"]["server_groups"] == []


def test_servers_made_together_join_together(client: Client) -> None:
    group = _group(client)
    _booted(client, group, min_count=3, max_count=3)
    assert len(_members(client, group)) == 3


def test_a_group_has_room_for_so_many_servers_of_a_user(cloud: Cloud, client: Client) -> None:
    cloud.conf.set_override("server_group_members", 2, group="quota")
    group = _group(client)
    first = _booted(client, group)
    _booted(client, group)
    refused = _boot(client, {"group": group})
    assert refused.status_code == 403
    assert "too many servers in group" in refused.json["forbidden"]["message"]
    assert len(cloud.rows(cloud.api_db, ServerGroupMemberRow)) == 2
    assert client.delete(f"/servers/{first}").status_code == 204
    _booted(client, group)


@pytest.mark.parametrize(
    ("hints", "named"),
    [
        ({"group": "12345678-1234-4234-8234-123456789abc"}, "12345678-1234-4234-8234-123456789abc"),
        ({"group": "no-uuid"}, "group"),
        ({"group": None}, "group"),
        ({"same_host": "no-uuid"}, "same_host"),
        ({"different_host": ["no-uuid"]}, "different_host"),
        ({"different_host": 7}, "different_host"),
        ({"build_near_host_ip": "here"}, "build_near_host_ip"),
        ({"build_near_host_ip": "192.0.2.1", "cidr": "24"}, "cidr"),
        ({"query": 7}, "query"),
        ({"target_cell": ""}, "target_cell"),
    ],
)
def test_hints_that_cannot_be_are_refused(cloud: Cloud, client: Client, hints: dict[str, Any], named: str) -> None:
    answer = _boot(client, hints)
    assert answer.status_code == 400
    assert named in answer.json["badRequest"]["message"]
    assert nothing_is_written(cloud)


def test_groups_of_other_projects_do_not_exist(cloud: Cloud, client: Client) -> None:
    group = _group(cloud.client("bob:others"))
    assert _boot(client, {"group": group}).status_code == 400
    assert nothing_is_written(cloud)


def test_hints_that_nobody_knows_are_kept(client: Client) -> None:
    uuid = _boot(client, {"vendor:hint": {"deep": [1]}}).json["server"]["id"]
    assert client.get(f"/servers/{uuid}").json["server"]["scheduler_hints"] == {"vendor:hint": {"deep": [1]}}
