"""Hypervisors: list, page, show, search, add up."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.model.block_device import BlockDevice
from nova_lite.model.flavor import Flavor
from nova_lite.model.states import TaskState
from nova_lite.rpc import compute
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.machines import CPU_INFO, NODES, add_machines

AMOUNTS = {
    "vcpus": 8,
    "memory_mb": 16384,
    "local_gb": 100,
    "vcpus_used": 3,
    "memory_mb_used": 1536,
    "local_gb_used": 22,
    "free_ram_mb": 14848,
    "free_disk_gb": 78,
    "disk_available_least": 78,
    "running_vms": 2,
    "current_workload": 1,
}


@pytest.fixture
def cloud_of_hosts(cloud: Cloud) -> Cloud:
    """Two servers live on h1, one of them busy, and one on h3."""
    add_machines(cloud)
    h1, h3 = NODES["h1"][1], NODES["h3"][1]
    flavor = Flavor("s", "s", 2, 1024, 20, ephemeral_gib=1)
    cloud.add_server(CELL1, host="h1", node=h1, display_name="first", flavor=flavor)
    cloud.add_server(CELL1, host="h1", node=h1, display_name="second", task_state=TaskState.REBOOTING)
    cloud.add_server(CELL2, host="h3", node=h3, display_name="third")
    return cloud


def test_a_root_disk_that_is_a_volume_is_not_the_hosts(cloud: Cloud) -> None:
    add_machines(cloud)
    flavor = Flavor("s", "s", 2, 1024, 20, ephemeral_gib=1)
    root = BlockDevice("d", "v", "/dev/vda", boot_index=0)
    cloud.add_server(CELL1, host="h1", node=NODES["h1"][1], flavor=flavor, volumes=(root,))
    found = cloud.client("admin:admins", "2.87").get("/os-hypervisors/statistics").json["hypervisor_statistics"]
    assert (found["local_gb_used"], found["vcpus_used"]) == (1, 2)


UPTIME = " 08:32:11 up 93 days, 18:25, 12 users,  load average: 0.20, 0.12, 0.14\n"


class Agent:
    """Answers for one compute host."""

    def uptime(self) -> str:
        return UPTIME


@pytest.fixture
def agent(cloud_of_hosts: Cloud) -> Iterator[None]:
    serving = cloud_of_hosts.cells.get(CELL1).bus.serve(compute.TOPIC, "h1", Agent())
    serving.start()
    yield
    serving.stop()


def _names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hypervisor["hypervisor_hostname"] for hypervisor in answer.json["hypervisors"]]


def test_hypervisors_are_listed_cell_by_cell(cloud_of_hosts: Cloud, admin: Client) -> None:
    answer = admin.get("/os-hypervisors")
    assert _names(answer) == ["h1.lan", "h2.lan", "h3.lan"]
    assert answer.json["hypervisors"][0] == {
        "id": NODES["h1"][1],
        "hypervisor_hostname": "h1.lan",
        "state": "up",
        "status": "enabled",
    }
    assert "hypervisors_links" not in answer.json


def test_details_and_show_agree(cloud_of_hosts: Cloud, agent: None, admin: Client) -> None:
    detailed = admin.get("/os-hypervisors/detail").json["hypervisors"][0]
    service = admin.get("/os-services?host=h1").json["services"][0]
    assert detailed == {
        "id": NODES["h1"][1],
        "hypervisor_hostname": "h1.lan",
        "state": "up",
        "status": "enabled",
        "host_ip": "192.0.2.1",
        "hypervisor_type": "QEMU",
        "hypervisor_version": 7002000,
        "uptime": None,
        "service": {"id": service["id"], "host": "h1", "disabled_reason": None},
    }
    shown = admin.get(f"/os-hypervisors/{NODES['h1'][1]}").json["hypervisor"]
    assert shown == {**detailed, "uptime": UPTIME}


def test_a_host_says_how_long_it_is_up(cloud_of_hosts: Cloud, agent: None, admin: Client) -> None:
    h1, h2 = NODES["h1"][1], NODES["h2"][1]
    assert admin.get(f"/os-hypervisors/{h1}").json["hypervisor"]["uptime"] == UPTIME
    assert admin.get(f"/os-hypervisors/{h1}/uptime").status_code == 404
    before = cloud_of_hosts.client("admin:admins", "2.87")
    answer = before.get(f"/os-hypervisors/{h1}/uptime")
    assert answer.status_code == 200
    assert answer.json == {
        "hypervisor": {
            "id": h1,
            "hypervisor_hostname": "h1.lan",
            "state": "up",
            "status": "enabled",
            "uptime": UPTIME,
        }
    }
    for wrong, status in (("1", 400), ("x", 400), (CELL1, 404)):
        assert before.get(f"/os-hypervisors/{wrong}/uptime").status_code == status
    first = cloud_of_hosts.client("admin:admins", "2.52")
    for wrong, status in (("x", 404), ("99", 404), (h1, 404)):
        assert first.get(f"/os-hypervisors/{wrong}/uptime").status_code == status
    assert cloud_of_hosts.client(version="2.87").get(f"/os-hypervisors/{h1}/uptime").status_code == 403
    # An agent that says nothing: the rest is told all the same.
    cloud_of_hosts.conf.set_override("timeout", 1.5, group="cells")
    silent = admin.get(f"/os-hypervisors/{h2}").json["hypervisor"]
    assert (silent["hypervisor_hostname"], silent["state"], silent["uptime"]) == ("h2.lan", "up", None)
    assert before.get(f"/os-hypervisors/{h2}/uptime").status_code == 503


def test_a_host_that_is_down_is_not_asked(cloud_of_hosts: Cloud, agent: None, admin: Client) -> None:
    (service,) = admin.get("/os-services?host=h1").json["services"]
    assert admin.put(f"/os-services/{service['id']}", {"forced_down": True}).status_code == 200
    shown = admin.get(f"/os-hypervisors/{NODES['h1'][1]}").json["hypervisor"]
    assert (shown["state"], shown["uptime"]) == ("down", None)
    answer = cloud_of_hosts.client("admin:admins", "2.87").get(f"/os-hypervisors/{NODES['h1'][1]}/uptime")
    assert answer.status_code == 400
    assert "h1" in answer.json["badRequest"]["message"]


def test_amounts_until_2_87(cloud_of_hosts: Cloud) -> None:
    old = cloud_of_hosts.client("admin:admins", "2.87")
    shown = old.get(f"/os-hypervisors/{NODES['h1'][1]}").json["hypervisor"]
    assert AMOUNTS.items() <= shown.items()
    assert shown["cpu_info"] == CPU_INFO
    assert "uptime" not in shown
    unused = old.get(f"/os-hypervisors/{NODES['h2'][1]}").json["hypervisor"]
    assert (unused["vcpus_used"], unused["running_vms"], unused["free_ram_mb"]) == (0, 0, 16384)


def test_first_version_names_them_by_number_and_has_the_cpu_as_text(cloud_of_hosts: Cloud) -> None:
    first = cloud_of_hosts.client("admin:admins", "2.1")
    shown = first.get("/os-hypervisors/2").json["hypervisor"]
    assert (shown["id"], shown["hypervisor_hostname"], shown["service"]["id"]) == (2, "h2.lan", 2)
    assert json.loads(shown["cpu_info"]) == CPU_INFO
    # Each cell counts its own: a number is that of the first in the list that has it.
    assert [found["id"] for found in first.get("/os-hypervisors").json["hypervisors"]] == [1, 2, 1]
    assert first.get("/os-hypervisors/1").json["hypervisor"]["hypervisor_hostname"] == "h1.lan"
    for missing in ("99", "x", NODES["h1"][1]):
        assert first.get(f"/os-hypervisors/{missing}").status_code == 404
    assert _names(first.get("/os-hypervisors?limit=1")) == ["h1.lan", "h2.lan", "h3.lan"]


def test_statistics_add_up_every_cell_until_2_87(cloud_of_hosts: Cloud, admin: Client) -> None:
    old = cloud_of_hosts.client("admin:admins", "2.87")
    with cloud_of_hosts.counted() as statements:
        statistics = old.get("/os-hypervisors/statistics").json["hypervisor_statistics"]
    assert len(statements) == 4
    assert statistics == {
        "count": 3,
        "vcpus": 24,
        "memory_mb": 49152,
        "local_gb": 300,
        "vcpus_used": 4,
        "memory_mb_used": 2048,
        "local_gb_used": 23,
        "free_ram_mb": 47104,
        "free_disk_gb": 277,
        "disk_available_least": 277,
        "running_vms": 3,
        "current_workload": 1,
    }
    assert admin.get("/os-hypervisors/statistics").status_code == 404


def test_pages_cross_cells(cloud_of_hosts: Cloud, admin: Client) -> None:
    for limit, version in ((1, "2.104"), (2, "2.104"), (2, "2.53")):
        caller = cloud_of_hosts.client("admin:admins", version)
        seen: list[str] = []
        url: str | None = f"/os-hypervisors?limit={limit}"
        while url is not None:
            page = caller.get(url)
            assert len(_names(page)) <= limit
            seen += _names(page)
            following = page.json.get("hypervisors_links")
            url = None if following is None else following[0]["href"].partition("/v2.1")[2]
        assert seen == ["h1.lan", "h2.lan", "h3.lan"]
    numbered = cloud_of_hosts.client("admin:admins", "2.33").get("/os-hypervisors?limit=1&marker=2")
    assert _names(numbered) == ["h3.lan"]
    ambiguous = cloud_of_hosts.client("admin:admins", "2.33").get("/os-hypervisors?limit=1&marker=1")
    assert ambiguous.status_code == 400
    assert "2.53" in ambiguous.json["badRequest"]["message"]
    assert _names(admin.get("/os-hypervisors?limit=0")) == []


def test_servers_of_hypervisors(cloud_of_hosts: Cloud, admin: Client) -> None:
    answer = admin.get("/os-hypervisors?with_servers=true").json["hypervisors"]
    assert [[server["name"] for server in found["servers"]] for found in answer] == [["first", "second"], [], ["third"]]
    old = cloud_of_hosts.client("admin:admins", "2.74")
    assert "servers" not in old.get(f"/os-hypervisors/{NODES['h2'][1]}?with_servers=1").json["hypervisor"]
    assert len(old.get(f"/os-hypervisors/{NODES['h3'][1]}?with_servers=1").json["hypervisor"]["servers"]) == 1


def test_search_by_a_part_of_the_name(cloud_of_hosts: Cloud, admin: Client) -> None:
    assert _names(admin.get("/os-hypervisors?hypervisor_hostname_pattern=h3")) == ["h3.lan"]
    assert admin.get("/os-hypervisors?hypervisor_hostname_pattern=_").status_code == 404
    assert admin.get("/os-hypervisors?hypervisor_hostname_pattern=%25").status_code == 400
    old = cloud_of_hosts.client("admin:admins", "2.52")
    assert _names(old.get("/os-hypervisors/lan/search")) == ["h1.lan", "h2.lan", "h3.lan"]
    servers = old.get("/os-hypervisors/h1/servers").json["hypervisors"][0]["servers"]
    assert [server["name"] for server in servers] == ["first", "second"]
    for path in ("nothing/search", "nothing/servers"):
        assert old.get(f"/os-hypervisors/{path}").status_code == 404
    for path in ("h1/search", "h1/servers"):
        assert admin.get(f"/os-hypervisors/{path}").status_code == 404


def test_disabled_and_silent(cloud_of_hosts: Cloud, admin: Client) -> None:
    service = admin.get("/os-services?host=h1").json["services"][0]
    admin.put(f"/os-services/{service['id']}", {"status": "disabled", "disabled_reason": "fans", "forced_down": True})
    shown = admin.get(f"/os-hypervisors/{NODES['h1'][1]}").json["hypervisor"]
    assert (shown["status"], shown["state"]) == ("disabled", "down")
    assert shown["service"]["disabled_reason"] == "fans"
    cloud_of_hosts.silence_cell(CELL2)
    assert _names(admin.get("/os-hypervisors")) == ["h1.lan", "h2.lan"]
    assert admin.get(f"/os-hypervisors/{NODES['h3'][1]}").status_code == 503


def test_details_of_many_cost_three_statements_a_cell(cloud_of_hosts: Cloud, admin: Client) -> None:
    admin.get("/os-hypervisors/detail")
    with cloud_of_hosts.counted() as statements:
        admin.get("/os-hypervisors/detail?with_servers=1")
    assert len(statements) == 8
    with cloud_of_hosts.counted() as statements:
        admin.get("/os-hypervisors")
    assert len(statements) == 4


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("marker=h1", "marker"),
        (f"marker={CELL1}", "marker"),
        ("limit=x", "limit"),
        ("with_servers=perhaps", "with_servers"),
        ("hypervisor_hostname_pattern=h&limit=1", "hypervisor_hostname_pattern"),
        ("color=red", "color"),
    ],
)
def test_bad_queries_name_the_parameter(cloud_of_hosts: Cloud, admin: Client, query: str, named: str) -> None:
    answer = admin.get(f"/os-hypervisors?{query}")
    assert answer.status_code == 400
    assert named in answer.json["badRequest"]["message"]


def test_bad_ids(cloud_of_hosts: Cloud, admin: Client) -> None:
    assert admin.get("/os-hypervisors/1").status_code == 400
    assert admin.get(f"/os-hypervisors/{CELL1}").status_code == 404


def test_only_administrators_see_hypervisors(cloud_of_hosts: Cloud, client: Client) -> None:
    old = cloud_of_hosts.client(version="2.52")
    for answer in (
        client.get("/os-hypervisors"),
        client.get("/os-hypervisors/detail"),
        client.get(f"/os-hypervisors/{NODES['h1'][1]}"),
        old.get("/os-hypervisors/statistics"),
        old.get("/os-hypervisors/h1/search"),
        old.get("/os-hypervisors/h1/servers"),
    ):
        assert answer.status_code == 403
