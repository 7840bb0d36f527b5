"""Hosts, as old clients know them: what runs where, who uses how much, and what no host does."""

from typing import Any

import pytest

from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.machines import NODES, add_machines

_POWER = ("startup", "shutdown", "reboot")


@pytest.fixture
def cloud_of_hosts(cloud: Cloud) -> Cloud:
    add_machines(cloud)
    return cloud


@pytest.fixture
def old(cloud_of_hosts: Cloud) -> Client:
    return cloud_of_hosts.client("admin:demo", version="2.42")


def _listed(answer: Any) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    return [(each["host_name"], each["service"], each["zone"]) for each in answer.json["hosts"]]


def test_hosts_of_every_cell_are_listed_and_filtered(old: Client) -> None:
    assert sorted(_listed(old.get("/os-hosts"))) == [
        ("control", "conductor", "internal"),
        ("control", "conductor", "internal"),
        ("control", "scheduler", "internal"),
        ("h1", "compute", "nova"),
        ("h2", "compute", "nova"),
        ("h3", "compute", "nova"),
    ]
    old.post("/os-aggregates", {"aggregate": {"name": "racks", "availability_zone": "east"}})
    old.post("/os-aggregates/1/action", {"add_host": {"host": "h2"}})
    assert _listed(old.get("/os-hosts", zone="east")) == [("h2", "compute", "east")]
    assert _listed(old.get("/os-hosts", zone="nowhere")) == []
    assert len(_listed(old.get("/os-hosts", zone="", other="ignored"))) == 6


def test_a_host_tells_what_it_has_and_whose_servers_use_it(cloud_of_hosts: Cloud, old: Client) -> None:
    def shown() -> list[tuple[object, ...]]:
        resources = [each["resource"] for each in old.get("/os-hosts/h1").json["host"]]
        assert {each["host"] for each in resources} == {"h1"}
        return [(each["project"], each["cpu"], each["memory_mb"], each["disk_gb"]) for each in resources]

    assert shown() == [("(total)", 8, 16384, 100), ("(used_now)", 0, 0, 0), ("(used_max)", 0, 0, 0)]
    for project in ("theirs", "ours", "ours"):
        cloud_of_hosts.add_server(CELL1, host="h1", node=NODES["h1"][1], project_id=project)
    cloud_of_hosts.add_server(CELL2, host="h3", node=NODES["h3"][1])
    one = cloud_of_hosts.add_server(CELL1, host="h2").flavor
    sizes = (one.vcpus, one.ram_mib, one.root_gib)
    thrice, twice = (tuple(times * size for size in sizes) for times in (3, 2))
    assert shown() == [
        ("(total)", 8, 16384, 100),
        ("(used_now)", *thrice),
        ("(used_max)", *thrice),
        ("ours", *twice),
        ("theirs", *sizes),
    ]


def test_a_host_is_disabled_and_enabled(old: Client) -> None:
    assert old.put("/os-hosts/h1", {"status": "Disable"}).json == {"host": "h1", "status": "disabled"}
    assert "h1" not in {host for host, *_ in _listed(old.get("/os-hosts"))}
    [service] = old.get("/os-services", host="h1", binary="nova-compute").json["services"]
    assert service["status"] == "disabled"
    assert old.put("/os-hosts/h1", {"status": "enable"}).json == {"host": "h1", "status": "enabled"}
    assert "h1" in {host for host, *_ in _listed(old.get("/os-hosts"))}


def test_what_no_host_can_do_is_refused_before_anything_changes(old: Client) -> None:
    assert old.put("/os-hosts/h1", {"maintenance_mode": "enable"}).status_code == 501
    assert old.put("/os-hosts/h1", {"status": "disable", "maintenance_mode": "disable"}).status_code == 501
    assert "h1" in {host for host, *_ in _listed(old.get("/os-hosts"))}
    for action in _POWER:
        assert old.get(f"/os-hosts/h1/{action}").status_code == 501


@pytest.mark.parametrize("host", ["nowhere", "control"])
def test_a_host_that_is_none_is_not_found(old: Client, host: str) -> None:
    assert old.get(f"/os-hosts/{host}").status_code == 404
    assert old.put(f"/os-hosts/{host}", {"status": "enable"}).status_code == 404
    assert old.put(f"/os-hosts/{host}", {"maintenance_mode": "enable"}).status_code == 404
    for action in _POWER:
        assert old.get(f"/os-hosts/{host}/{action}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"status": "stop"}, {"maintenance_mode": "on"}, {"status": "enable", "more": 1}, {"status": None}, []],
)
def test_bad_changes_are_refused(old: Client, body: Any) -> None:
    assert old.put("/os-hosts/h1", body).status_code == 400


def test_hosts_are_for_administrators(cloud_of_hosts: Cloud) -> None:
    member = cloud_of_hosts.client(version="2.42")
    assert member.get("/os-hosts").status_code == 403
    assert member.get("/os-hosts/nowhere").status_code == 403
    assert member.put("/os-hosts/h1", {"status": "enable"}).status_code == 403
    for action in _POWER:
        assert member.get(f"/os-hosts/h1/{action}").status_code == 403


def test_from_2_43_on_there_are_services_instead(cloud_of_hosts: Cloud) -> None:
    new = cloud_of_hosts.client("admin:demo", version="2.43")
    assert new.get("/os-hosts").status_code == 404
    assert new.get("/os-hosts/h1").status_code == 404
    assert new.put("/os-hosts/h1", {"status": "enable"}).status_code == 404
    for action in _POWER:
        assert new.get(f"/os-hosts/h1/{action}").status_code == 404
