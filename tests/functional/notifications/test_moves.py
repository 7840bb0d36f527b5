"""Stories of what listeners hear of servers that move, or do not."""

from collections.abc import Iterator

import pytest

from nova_lite import errors
from nova_lite.compute.virt.faults import Gate
from nova_lite.embedded.cloud import Cloud
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually
from tests.functional.notifications.conftest import Listener, around

_ROLLBACK = [
    "instance.live_migration_rollback.start",
    *around("live_migration_rollback_dest"),
    "instance.live_migration_rollback.end",
]


@pytest.fixture
def server(user: ComputeUser, image: str) -> str:
    server = user.boot("moves", image)
    user.wait(server, "ACTIVE")
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
    assert sorted(listener.types(server)) == sorted([*around("create", "rebuild"), "instance.evacuate"])
    asked = listener.wait_for(server, "instance.evacuate")
    assert (asked.publisher.partition(":")[0], asked.data["host"]) == ("nova-api", here)
    assert (rebuilt.payload["nova_object.name"], rebuilt.data["host"]) == ("InstanceActionRebuildPayload", there)
