"""The life of servers in an embedded cloud, end to end over HTTP."""

import contextlib
import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser


def allocations(cloud: Cloud, server_id: str) -> dict[str, Any]:
    """Return what Placement says a server has."""
    placement = ComputeUser(cloud.placement_url)
    try:
        found: dict[str, Any] = placement.ask("GET", f"/allocations/{server_id}").json["allocations"]
        return found
    finally:
        placement.close()


def test_boot_stop_start_reboot_delete(cloud: Cloud, user: ComputeUser, image: str) -> None:
    server_id = user.boot("story", image, metadata={"team": "red"})
    server = user.wait(server_id, "ACTIVE")
    host = server["OS-EXT-SRV-ATTR:host"]
    assert (server["name"], server["metadata"], server["OS-EXT-STS:power_state"]) == ("story", {"team": "red"}, 1)
    assert host in cloud.agents
    assert [guest.uuid for guest in clouds.fake_driver(cloud, host).guests()] == [server_id]
    [claimed] = allocations(cloud, server_id).values()
    assert claimed["resources"] == {"VCPU": 1, "MEMORY_MB": 96, "DISK_GB": 1}

    assert user.act(server_id, "os-stop").status == 202
    assert user.wait(server_id, "SHUTOFF")["OS-EXT-STS:power_state"] == 4
    assert user.act(server_id, "os-stop").status == 409
    assert user.act(server_id, "os-start").status == 202
    user.wait(server_id, "ACTIVE")
    for kind in ("SOFT", "HARD"):
        assert user.act(server_id, "reboot", {"type": kind}).status == 202
        user.wait(server_id, "ACTIVE")
    output = user.act(server_id, "os-getConsoleOutput", {"length": 3}).json["output"]
    assert "login:" in output

    assert user.ask("DELETE", f"/servers/{server_id}").status == 204
    user.wait_gone(server_id)
    assert clouds.fake_driver(cloud, host).guests() == []
    assert allocations(cloud, server_id) == {}


def test_metadata_can_be_changed(user: ComputeUser, image: str) -> None:
    server_id = user.boot("labelled", image, metadata={"a": "1", "b": "2"})
    user.wait(server_id, "ACTIVE")
    assert user.ask("PUT", f"/servers/{server_id}/metadata", {"metadata": {"b": "3"}}).status == 200
    assert user.ask("POST", f"/servers/{server_id}/metadata", {"metadata": {"c": "4"}}).status == 200
    assert user.ask("DELETE", f"/servers/{server_id}/metadata/b").status == 204
    assert user.server(server_id)["metadata"] == {"c": "4"}
    user.ask("DELETE", f"/servers/{server_id}")
    user.wait_gone(server_id)


def test_no_room_ends_in_error_with_a_reason_and_can_be_deleted(user: ComputeUser, image: str) -> None:
    huge = {"flavor": {"id": "huge", "name": "huge", "vcpus": 1, "ram": 1 << 30, "disk": 1}}
    assert user.ask("POST", "/flavors", huge).status == 200
    small_limits = user.ask(
        "POST", "/servers", {"server": {"name": "x", "flavorRef": "huge", "imageRef": image, "networks": "none"}}
    )
    assert small_limits.status == 403, "the quota of memory is smaller than that"
    wide = {"flavor": {"id": "wide", "name": "wide", "vcpus": 1, "ram": 64, "disk": 1 << 20}}
    assert user.ask("POST", "/flavors", wide).status == 200
    server_id = user.boot("too big", image, flavor="wide")
    server = user.wait(server_id, "ERROR")
    assert "No valid host" in server["fault"]["message"]
    assert server["fault"]["code"] == 500
    assert user.ask("DELETE", f"/servers/{server_id}").status == 204
    user.wait_gone(server_id)
    for flavor in ("huge", "wide"):
        user.ask("DELETE", f"/flavors/{flavor}")


def test_a_failing_guest_ends_in_error_with_its_reason(cloud: Cloud, user: ComputeUser, image: str) -> None:
    for host in cloud.agents:
        clouds.fake_driver(cloud, host).fail("spawn", errors.GuestFailed("The image is damaged"), times=None)
    server_id = user.boot("broken", image)
    server = user.wait(server_id, "ERROR")
    for host in cloud.agents:
        clouds.fake_driver(cloud, host).faults.clear()
    assert "The image is damaged" in server["fault"]["message"]
    assert allocations(cloud, server_id) == {}
    user.ask("DELETE", f"/servers/{server_id}")
    user.wait_gone(server_id)


@pytest.fixture
def hostile_image(cloud: Cloud) -> Iterator[str]:
    """A qcow2 file that names a file of the host as its backing file."""
    name = b"/etc/passwd"
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 104, len(name), 16, 1 << 20, 0, 1, 65536,
                         131072, 1, 0, 0, 0, 0, 0, 4, 104)  # fmt: skip
    file = cloud.settings.image_dir / "hostile.qcow2"
    file.write_bytes((header + name).ljust(1 << 20, b"\0"))
    yield next(found.id for found in ImageDirectory(cloud.settings.image_dir).images() if found.name == "hostile")
    file.unlink()


def test_a_hostile_image_starts_nothing_and_says_why(
    cloud: Cloud, user: ComputeUser, hostile_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in cloud.agents:
        monkeypatch.setattr(clouds.fake_driver(cloud, host), "needs_image", True)
    server_id = user.boot("victim", hostile_image)
    server = user.wait(server_id, "ERROR")
    assert "backing file" in server["fault"]["message"]
    assert "/etc/passwd" not in server["fault"]["message"]
    assert not any(clouds.fake_driver(cloud, host).guests() for host in cloud.agents)
    assert allocations(cloud, server_id) == {}
    user.ask("DELETE", f"/servers/{server_id}")
    user.wait_gone(server_id)


def test_others_see_nothing_of_it(cloud: Cloud, user: ComputeUser, image: str) -> None:
    server_id = user.boot("mine", image)
    user.wait(server_id, "ACTIVE")
    stranger = ComputeUser(cloud.compute_url, "stranger")
    assert stranger.ask("GET", f"/servers/{server_id}").status == 404
    assert stranger.ask("DELETE", f"/servers/{server_id}").status == 404
    assert stranger.ask("GET", "/servers/detail").json["servers"] == []
    stranger.close()
    user.ask("DELETE", f"/servers/{server_id}")
    user.wait_gone(server_id)


def test_servers_spread_over_hosts_and_cells(cloud: Cloud, user: ComputeUser, image: str) -> None:
    ids = [user.boot(f"spread-{number}", image) for number in range(8)]
    hosts = {user.wait(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] for server_id in ids}
    assert len({host.partition("-")[0] for host in hosts}) == 2, hosts
    shown = user.ask("GET", "/servers/detail?limit=3").json
    assert len(shown["servers"]) == 3
    assert shown["servers_links"][0]["rel"] == "next"
    for server_id in ids:
        user.ask("DELETE", f"/servers/{server_id}")
    for server_id in ids:
        user.wait_gone(server_id)


def test_a_disabled_host_gets_no_servers(cloud: Cloud, user: ComputeUser, image: str) -> None:
    services = user.ask("GET", "/os-services?binary=nova-compute").json["services"]
    assert {service["host"] for service in services} == set(cloud.agents)
    assert {service["state"] for service in services} == {"up"}
    chosen = services[0]["host"]
    for service in services[1:]:
        answer = user.ask("PUT", f"/os-services/{service['id']}", {"status": "disabled", "disabled_reason": "test"})
        assert answer.status == 200
    server_ids = [user.boot("confined", image) for _ in range(3)]
    assert {user.wait(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] for server_id in server_ids} == {chosen}
    user.ask("PUT", f"/os-services/{services[0]['id']}", {"status": "disabled"})
    nowhere = user.boot("nowhere", image)
    assert "No valid host" in user.wait(nowhere, "ERROR")["fault"]["message"]
    for service in services:
        assert user.ask("PUT", f"/os-services/{service['id']}", {"status": "enabled"}).status == 200
    for server_id in (*server_ids, nowhere):
        user.ask("DELETE", f"/servers/{server_id}")
    for server_id in (*server_ids, nowhere):
        user.wait_gone(server_id)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"flavorRef": "none"}, 400, id="unknown flavor"),
        pytest.param({"imageRef": "b45b1a30-0000-4000-8000-000000000000"}, 400, id="unknown image"),
        pytest.param({"key_name": "none"}, 400, id="unknown keypair"),
        pytest.param({"surprise": 1}, 400, id="unknown field"),
    ],
)
def test_bad_requests_change_nothing(user: ComputeUser, image: str, change: dict[str, object], status: int) -> None:
    before = user.ask("GET", "/limits").json["limits"]["absolute"]["totalInstancesUsed"]
    server = {"name": "bad", "flavorRef": "1", "imageRef": image, "networks": "none", **change}
    assert user.ask("POST", "/servers", {"server": server}).status == status
    assert user.ask("GET", "/limits").json["limits"]["absolute"]["totalInstancesUsed"] == before


def test_a_deleted_server_is_restored_then_reclaimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_lite.conductor.overdue_looker._INTERVAL_S", 0.1)
    options = {"DEFAULT": {"reclaim_instance_interval": "3600"}}
    with clouds.running(tmp_path, cells=1, hosts=1, options=options) as cloud:
        user = ComputeUser(cloud.compute_url)
        server_id = user.boot("phoenix", ImageDirectory(cloud.settings.image_dir).images()[0].id)
        driver = clouds.fake_driver(cloud, user.wait(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"])
        claimed = allocations(cloud, server_id)
        for _ in range(2):
            assert user.ask("DELETE", f"/servers/{server_id}").status == 204
            assert user.wait(server_id, "SOFT_DELETED")["OS-EXT-STS:power_state"] == 4
            assert allocations(cloud, server_id) == claimed
            assert user.act(server_id, "restore").status == 202
            assert user.wait(server_id, "ACTIVE")["OS-EXT-STS:power_state"] == 1
        assert user.ask("DELETE", f"/servers/{server_id}").status == 204
        user.wait(server_id, "SOFT_DELETED")
        [cell] = cloud.settings.cell_names
        with contextlib.closing(clouds.database(cloud, cell)) as database, database.writer() as session:
            instances.change(session, server_id, deleted_at=utcnow() - timedelta(hours=2))
        user.wait_gone(server_id)
        assert driver.guests() == []
        assert allocations(cloud, server_id) == {}
        user.close()


def test_pause_suspend_lock(cloud: Cloud, user: ComputeUser, image: str) -> None:
    server_id = user.boot("quiet", image)
    driver = clouds.fake_driver(cloud, user.wait(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"])
    for action, status, power_state in (
        ("pause", "PAUSED", 3),
        ("unpause", "ACTIVE", 1),
        ("suspend", "SUSPENDED", 4),
        ("resume", "ACTIVE", 1),
    ):
        assert user.act(server_id, action).status == 202
        assert user.wait(server_id, status)["OS-EXT-STS:power_state"] == power_state
    assert b"fake boot 2" not in driver.console_output(server_id, lines=None)
    assert user.act(server_id, "lock", {"locked_reason": "audit"}).status == 202
    assert user.server(server_id)["locked_reason"] == "audit"
    assert user.act(server_id, "unlock").status == 202
    assert user.act(server_id, "os-resetState", {"state": "error"}).status == 202
    assert user.wait(server_id, "ERROR")["fault"]["message"]
    assert user.act(server_id, "os-resetState", {"state": "active"}).status == 202
    assert "fault" not in user.wait(server_id, "ACTIVE")
    assert user.ask("DELETE", f"/servers/{server_id}").status == 204
    user.wait_gone(server_id)
