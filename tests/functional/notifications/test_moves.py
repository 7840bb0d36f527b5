"""Stories of what listeners hear of servers that move, or do not."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nova_lite import errors
from nova_lite.compute.virt.faults import Gate
from nova_lite.embedded.cloud import Cloud
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually
from tests.functional.notifications.conftest import Heard, Listener, around

_ROLLBACK = [
    "instance.live_migration_rollback.start",
    *around("live_migration_rollback_dest"),
    "instance.live_migration_rollback.end",
]


@pytest.fixture
def server(user: ComputeUser, image: str, listener: Listener) -> str:
    server = user.boot("moves", image)
    user.wait(server, "ACTIVE")
    listener.wait_for(server, "instance.create.end")
    return server


@pytest.fixture
def here(user: ComputeUser, server: str) -> str:
    """The host that the server is on."""
    return str(user.server(server)["OS-EXT-SRV-ATTR:host"])


@pytest.fixture
def there(cloud: Cloud, here: str) -> str:
    """The other one."""
    (there,) = set(cloud.agents) - {here}
    return there


@pytest.fixture
def held(cloud: Cloud, user: ComputeUser, server: str, here: str) -> Iterator[tuple[Gate, str]]:
    """A guest held up on its way: the gate, and the URL of the migration."""
    driver = clouds.fake_driver(cloud, here)
    gate = driver.hold("transfer")
    _migrate(user, server)

    def look() -> int | None:
        found = user.ask("GET", f"/servers/{server}/migrations").json["migrations"]
        return next((each["id"] for each in found if each["status"] == "running"), None)

    number = eventually(look, "the guest on its way")
    yield gate, f"/servers/{server}/migrations/{number}"
    gate.open()
    driver.faults.clear("transfer")


def _migrate(user: ComputeUser, server: str) -> None:
    answer = user.act(server, "os-migrateLive", {"host": None, "block_migration": "auto"})
    assert answer.status == 202, answer.json


def _publishers(listener: Listener, server: str, action: str) -> set[str]:
    told = listener.of(server)
    return {each.publisher for each in told if each.event_type.startswith(f"instance.{action}.")}


def test_a_resize_that_is_taken_back(user: ComputeUser, server: str, listener: Listener) -> None:
    user.act(server, "resize", {"flavorRef": "2"})
    user.wait(server, "VERIFY_RESIZE")
    listener.wait_for(server, "instance.resize_finish.end")
    user.act(server, "revertResize")
    user.wait(server, "ACTIVE")
    reverted = listener.wait_for(server, "instance.resize_revert.end")
    assert listener.types(server) == around("create", "resize_prep", "resize", "resize_finish", "resize_revert")
    assert reverted.data["flavor"]["nova_object.data"]["flavorid"] == "1"
    was = [each for each in listener.of(server) if each.event_type == "instance.exists"]
    assert [each.data["flavor"]["nova_object.data"]["flavorid"] for each in was] == ["1", "2"]
    assert was[0].payload["nova_object.name"] == "InstanceExistsPayload"
    assert was[0].data["audit_period"]["nova_object.name"] == "AuditPeriodPayload"


def test_a_live_migration(user: ComputeUser, server: str, here: str, there: str, listener: Listener) -> None:
    _migrate(user, server)
    listener.wait_for(server, "instance.live_migration_post.end")
    assert listener.types(server)[2:] == [
        *around("live_migration_pre"),
        "instance.live_migration_post.start",
        *around("live_migration_post_dest"),
        "instance.live_migration_post.end",
    ]
    assert _publishers(listener, server, "live_migration_post") == {f"nova-compute:{here}"}
    assert _publishers(listener, server, "live_migration_post_dest") == {f"nova-compute:{there}"}


def test_a_live_migration_that_fails_on_its_way(
    cloud: Cloud, user: ComputeUser, server: str, here: str, there: str, listener: Listener
) -> None:
    clouds.fake_driver(cloud, here).fail("transfer", errors.GuestFailed("It does not fit."))
    _migrate(user, server)
    listener.wait_for(server, "instance.live_migration_rollback.end")
    assert listener.types(server)[2:] == [*around("live_migration_pre"), *_ROLLBACK]
    assert _publishers(listener, server, "live_migration_rollback") == {f"nova-compute:{here}"}
    assert _publishers(listener, server, "live_migration_rollback_dest") == {f"nova-compute:{there}"}


def test_a_live_migration_whose_destination_does_not_get_ready(
    cloud: Cloud, user: ComputeUser, server: str, there: str, listener: Listener
) -> None:
    clouds.fake_driver(cloud, there).fail("prepare_landing", errors.GuestFailed("It has no room."))
    _migrate(user, server)
    failed = listener.wait_for(server, "instance.live_migration_pre.error")
    listener.wait_for(server, "instance.live_migration_rollback.end")
    # Errors come by another queue.
    told = [each for each in listener.types(server)[2:] if each != "instance.live_migration_pre.error"]
    assert told == ["instance.live_migration_pre.start", *_ROLLBACK]
    assert failed.data["fault"]["nova_object.data"]["exception_message"] == "It has no room."


def test_a_live_migration_that_is_broken_off(
    user: ComputeUser, server: str, here: str, held: tuple[Gate, str], listener: Listener
) -> None:
    _, url = held
    assert user.ask("DELETE", url).status == 202
    listener.wait_for(server, "instance.live_migration_rollback.end")
    told = [*around("live_migration_pre", "live_migration_abort"), *_ROLLBACK]
    assert listener.types(server)[2:] == told
    assert _publishers(listener, server, "live_migration_abort") == {f"nova-compute:{here}"}


def test_a_live_migration_that_is_to_end_soon(
    user: ComputeUser, server: str, held: tuple[Gate, str], listener: Listener
) -> None:
    gate, url = held
    assert user.ask("POST", f"{url}/action", {"force_complete": None}).status == 202
    gate.open()
    listener.wait_for(server, "instance.live_migration_post.end")
    assert listener.types(server)[4:6] == around("live_migration_force_complete")


def test_an_evacuation(user: ComputeUser, server: str, here: str, there: str, listener: Listener) -> None:
    (service,) = user.ask("GET", f"/os-services?host={here}&binary=nova-compute").json["services"]
    path = f"/os-services/{service['id']}"
    assert user.ask("PUT", path, {"forced_down": True}).status == 200
    try:
        assert user.act(server, "evacuate", {}).status == 200
        rebuilt = listener.wait_for(server, "instance.rebuild.end")
    finally:
        assert user.ask("PUT", path, {"forced_down": False}).status == 200
    scheduled = listener.wait_for(server, "instance.rebuild_scheduled")
    asked = listener.wait_for(server, "instance.evacuate")
    told = [*around("create", "rebuild"), "instance.evacuate", "instance.rebuild_scheduled"]
    assert sorted(listener.types(server)) == sorted(told)
    assert scheduled.payload["nova_object.name"] == "InstanceActionRebuildPayload"
    assert scheduled.publisher.partition(":")[0] == "nova-conductor"
    assert (asked.publisher.partition(":")[0], asked.data["host"]) == ("nova-api", here)
    assert (rebuilt.payload["nova_object.name"], rebuilt.data["host"]) == ("InstanceActionRebuildPayload", there)


def _failed(listener: Listener, server: str) -> Heard:
    """Return what was told of a server that found no host."""
    return listener.wait(
        lambda each: each.event_type.startswith("compute_task.") and each.data["instance_uuid"] == server, "the failure"
    )


def _sought(listener: Listener, server: str) -> list[Heard]:
    told = [each for each in list(listener.heard) if each.event_type.startswith("scheduler.")]
    return [each for each in told if each.data["instance_uuid"] == server]


def test_hosts_are_sought_and_found(user: ComputeUser, server: str, image: str, listener: Listener) -> None:
    listener.wait_for(server, "instance.create.end")
    ended = listener.wait(
        lambda each: each.event_type == "scheduler.select_destinations.end" and each.data["instance_uuid"] == server,
        "that a host was found",
    )
    begun = _sought(listener, server)[0]
    assert (begun.event_type, begun.payload) == ("scheduler.select_destinations.start", ended.payload)
    assert begun.publisher.partition(":")[0] == "nova-scheduler"
    assert begun.payload["nova_object.name"] == "RequestSpecPayload"
    assert (begun.data["num_instances"], begun.data["flavor"]["nova_object.data"]["flavorid"]) == (1, "1")
    assert begun.data["image"]["nova_object.data"]["id"] == image
    assert begun.context["request_id"] == listener.wait_for(server, "instance.create.end").data["request_id"]


def test_a_server_that_finds_no_host(user: ComputeUser, image: str, listener: Listener) -> None:
    flavor = {"id": "huge", "name": "huge", "ram": 1 << 26, "vcpus": 1, "disk": 1}
    assert user.ask("POST", "/flavors", {"flavor": flavor}).status == 200
    server = user.boot("nowhere", image, flavor="huge")
    user.wait(server, "ERROR")
    failed = _failed(listener, server)
    assert (failed.event_type, failed.priority) == ("compute_task.build_instances.error", "error")
    assert failed.payload["nova_object.name"] == "ComputeTaskPayload"
    assert failed.data["state"] == "error"
    assert failed.data["request_spec"]["nova_object.data"]["flavor"]["nova_object.data"]["name"] == "huge"
    assert failed.data["reason"]["nova_object.data"]["exception"] == "NoValidHost"
    begun = eventually(lambda: _sought(listener, server), "that it was sought for")
    assert [each.event_type for each in begun] == ["scheduler.select_destinations.start"]


def test_a_server_that_finds_nowhere_to_move(user: ComputeUser, server: str, listener: Listener) -> None:
    flavor = {"id": "wide", "name": "wide", "ram": 96, "vcpus": 4096, "disk": 1}
    assert user.ask("POST", "/flavors", {"flavor": flavor}).status == 200
    assert user.act(server, "resize", {"flavorRef": "wide"}).status == 202
    failed = _failed(listener, server)
    assert (failed.event_type, failed.data["state"]) == ("compute_task.migrate_server.error", "active")
    spec = failed.data["request_spec"]["nova_object.data"]
    assert spec["flavor"]["nova_object.data"]["name"] == "wide"
    user.wait(server, "ACTIVE")


def test_a_server_whose_host_does_not_suit_its_new_image(
    cloud: Cloud, user: ComputeUser, server: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = "Its host does not have COMPUTE_OTHER."
    monkeypatch.setattr(SchedulerEndpoint, "refusal_to_stay", lambda *_, **__: refusal)
    url = f"{cloud.image_url}/v2/images"
    other = {"name": "other", "disk_format": "raw", "container_format": "bare"}
    made = requests.post(url, json=other, timeout=clouds.DEADLINE_S).json()["id"]
    kind = {"Content-Type": "application/octet-stream"}
    requests.put(f"{url}/{made}/file", data=b"disk", headers=kind, timeout=clouds.DEADLINE_S).raise_for_status()
    assert user.act(server, "rebuild", {"imageRef": made}).status == 202
    failed = _failed(listener, server)
    assert failed.event_type == "compute_task.rebuild_server.error"
    assert refusal in failed.data["reason"]["nova_object.data"]["exception_message"]


def test_a_server_that_never_had_a_host_is_deleted(user: ComputeUser, image: str, listener: Listener) -> None:
    flavor = {"id": "vast", "name": "vast", "ram": 1 << 26, "vcpus": 1, "disk": 1}
    assert user.ask("POST", "/flavors", {"flavor": flavor}).status == 200
    server = user.boot("nowhere", image, flavor="vast")
    user.wait(server, "ERROR")
    assert user.act(server, "forceDelete").status == 202
    gone = listener.wait_for(server, "instance.delete.end")
    assert (gone.data["state"], gone.data["host"]) == ("deleted", None)
    assert gone.publisher.partition(":")[0] == "nova-api"
    assert listener.types(server) == around("delete")


def test_a_server_that_waits_for_a_host_is_deleted(
    user: ComputeUser, image: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeking, going_on = threading.Event(), threading.Event()
    place = SchedulerEndpoint.place

    def held(endpoint: SchedulerEndpoint, *args: Any, **more: Any) -> Any:
        seeking.set()
        going_on.wait(clouds.DEADLINE_S)
        return place(endpoint, *args, **more)

    monkeypatch.setattr(SchedulerEndpoint, "place", held)
    server = user.boot("waits", image)
    assert seeking.wait(clouds.DEADLINE_S)
    assert user.act(server, "forceDelete").status == 202
    going_on.set()
    gone = listener.wait_for(server, "instance.delete.end")
    assert (gone.data["state"], gone.data["host"]) == ("building", None)
    assert listener.types(server) == around("delete")
