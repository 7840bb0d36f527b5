"""Stories of what listeners hear of servers."""

import json

from nova_lite import errors
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.volume_files import POOLS
from nova_lite.model.notifications import EVENTS, event_type
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually
from nova_lite.testing.volumes import VolumeUser
from tests.functional.notifications.conftest import CANARY, Heard, Listener, around


def _over(user: ComputeUser, listener: Listener, server: str, status: str, action: str) -> None:
    """Return once a server shows what it has come to, and the end of the action is told: that may be a moment later."""
    user.wait(server, status)
    listener.wait_for(server, f"instance.{action}.end")


def test_a_server_s_life_is_told_as_it_happens(user: ComputeUser, image: str, listener: Listener) -> None:
    answer = user.ask(
        "POST",
        "/servers",
        {
            "server": {
                "name": "told",
                "flavorRef": "1",
                "imageRef": image,
                "networks": "none",
                "adminPass": CANARY,
                "user_data": "Y2FuYXJ5LTNjMWY=",
                "metadata": {"colour": "red"},
                "tags": ["b", "a"],
            }
        },
    )
    assert answer.status == 202, answer.json
    server = answer.json["server"]["id"]
    user.wait(server, "ACTIVE")
    ended = listener.wait_for(server, "instance.create.end")
    (begun,) = [each for each in listener.of(server) if each.event_type == "instance.create.start"]
    request_id = answer.headers["x-openstack-request-id"]
    assert begun.payload["nova_object.name"] == "InstanceCreatePayload"
    assert begun.payload["nova_object.namespace"] == "nova"
    assert begun.payload["nova_object.version"] == "1.13"
    assert (begun.data["state"], begun.data["task_state"], begun.data["request_id"]) == (
        "building",
        "spawning",
        request_id,
    )
    assert begun.context == {"request_id": request_id, "user_id": "admin", "project_id": "admin"}
    assert (ended.data["state"], ended.data["task_state"], ended.data["power_state"]) == ("active", None, "running")
    assert ended.publisher == f"nova-compute:{ended.data['host']}"
    assert ended.data["flavor"]["nova_object.data"]["flavorid"] == "1"
    assert (ended.data["metadata"], ended.data["tags"], ended.data["fault"]) == ({"colour": "red"}, ["a", "b"], None)
    for action, status, name in (
        ("os-stop", "SHUTOFF", "power_off"),
        ("os-start", "ACTIVE", "power_on"),
        ("pause", "PAUSED", "pause"),
        ("unpause", "ACTIVE", "unpause"),
        ("suspend", "SUSPENDED", "suspend"),
        ("resume", "ACTIVE", "resume"),
    ):
        assert user.act(server, action).status == 202
        _over(user, listener, server, status, name)
    assert user.act(server, "reboot", {"type": "HARD"}).status == 202
    user.wait(server, "ACTIVE")
    listener.wait_for(server, "instance.reboot.end")
    assert user.act(server, "lock", {"locked_reason": "audit"}).status == 202
    locked = listener.wait_for(server, "instance.lock")
    assert (locked.data["locked"], locked.data["locked_reason"]) == (True, "audit")
    assert locked.publisher.startswith("nova-api:")
    assert user.act(server, "unlock").status == 202
    assert user.ask("PUT", f"/servers/{server}", {"server": {"name": "renamed"}}).status == 200
    renamed = listener.wait(
        lambda each: each.event_type == "instance.update" and each.data["old_display_name"] == "told", "the new name"
    )
    assert (renamed.data["display_name"], renamed.publisher.partition(":")[0]) == ("renamed", "nova-api")
    assert user.act(server, "forceDelete").status == 202
    gone = listener.wait_for(server, "instance.delete.end")
    assert (gone.data["state"], gone.data["host"]) == ("deleted", ended.data["host"])
    assert gone.data["deleted_at"] is not None
    told = around("create", "power_off", "power_on", "pause", "unpause", "suspend", "resume", "reboot")
    assert listener.types(server) == [
        *told,
        "instance.lock",
        "instance.unlock",
        "instance.delete.start",
        "instance.shutdown.start",
        "instance.shutdown.end",
        "instance.delete.end",
    ]
    assert CANARY not in json.dumps([each.payload for each in listener.heard])
    assert "Y2FuYXJ5LTNjMWY=" not in json.dumps([each.payload for each in listener.heard])


def test_each_state_is_told_to_who_wants_that(user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("states", image)
    _over(user, listener, server, "ACTIVE", "create")
    user.act(server, "os-stop")
    user.wait(server, "SHUTOFF")
    listener.wait_for(server, "instance.power_off.end")
    seen = [
        tuple(each.data["state_update"]["nova_object.data"][name] for name in _STATES)
        for each in listener.of(server)
        if each.event_type == "instance.update"
    ]
    assert seen == [
        ("building", "building", None, "spawning"),
        ("building", "active", "spawning", None),
        ("active", "active", None, "powering-off"),
        ("active", "stopped", "powering-off", None),
    ]


_STATES = ("old_state", "state", "old_task_state", "new_task_state")


def test_those_of_old_are_told_beside(user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("old", image)
    user.wait(server, "ACTIVE")
    heard = listener.wait(
        lambda each: each.event_type == "compute.instance.create.end" and each.payload["instance_id"] == server,
        "the notification of old",
    )
    assert heard.publisher == f"compute.{heard.payload['host']}"
    assert (heard.payload["state"], heard.payload["display_name"], heard.payload["memory_mb"]) == ("active", "old", 96)


def test_what_fails_is_told_with_its_reason(cloud: Cloud, user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("fails", image)
    user.wait(server, "ACTIVE")
    host = user.server(server)["OS-EXT-SRV-ATTR:host"]
    clouds.fake_driver(cloud, host).fail("power_off", errors.GuestFailed("It has no switch."))
    user.act(server, "os-stop")
    failed = listener.wait_for(server, "instance.power_off.error")
    fault = failed.data["fault"]["nova_object.data"]
    assert (failed.priority, fault["exception"], fault["exception_message"]) == (
        "error",
        "GuestFailed",
        "It has no switch.",
    )
    assert (failed.data["state"], failed.data["task_state"]) == ("active", None)
    raised = listener.wait(
        lambda each: each.event_type == "compute.exception" and each.data["exception_message"] == "It has no switch.",
        "the exception",
    )
    assert raised.payload["nova_object.name"] == "ExceptionPayload"
    assert raised.publisher == f"nova-compute:{host}"


def test_moves_shelving_and_images_are_told(user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("moves", image)
    _over(user, listener, server, "ACTIVE", "create")
    user.act(server, "resize", {"flavorRef": "2"})
    _over(user, listener, server, "VERIFY_RESIZE", "resize_finish")
    user.act(server, "confirmResize")
    _over(user, listener, server, "ACTIVE", "resize_confirm")
    user.act(server, "createImage", {"name": "made"})
    listener.wait_for(server, "instance.snapshot.end")
    user.wait(server, "ACTIVE")
    user.act(server, "rescue", {"adminPass": CANARY})
    _over(user, listener, server, "RESCUE", "rescue")
    user.act(server, "unrescue")
    _over(user, listener, server, "ACTIVE", "unrescue")
    user.act(server, "rebuild", {"imageRef": image})
    listener.wait_for(server, "instance.rebuild.end")
    user.wait(server, "ACTIVE")
    user.act(server, "shelve")
    _over(user, listener, server, "SHELVED", "shelve")
    user.act(server, "shelveOffload")
    _over(user, listener, server, "SHELVED_OFFLOADED", "shelve_offload")
    user.act(server, "unshelve")
    _over(user, listener, server, "ACTIVE", "unshelve")
    assert user.ask("DELETE", f"/servers/{server}").status == 204
    listener.wait_for(server, "instance.soft_delete.end")
    assert user.act(server, "restore").status == 202
    listener.wait_for(server, "instance.restore.end")
    moved = ("create", "resize_prep", "resize", "resize_finish", "resize_confirm", "snapshot", "rescue", "unrescue")
    again = ("rebuild", "shelve", "shelve_offload", "unshelve", "soft_delete", "restore")
    assert listener.types(server) == around(*moved, *again)
    prepared = listener.wait_for(server, "instance.resize_prep.start")
    assert prepared.data["new_flavor"]["nova_object.data"]["flavorid"] == "2"
    assert prepared.data["flavor"]["nova_object.data"]["flavorid"] == "1"
    assert listener.wait_for(server, "instance.snapshot.start").data["snapshot_image_id"] is not None
    assert listener.wait_for(server, "instance.rescue.end").data["rescue_image_ref"] == image
    assert CANARY not in json.dumps([each.payload for each in listener.heard])


def test_volumes_are_told(cloud: Cloud, user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("volumes", image)
    user.wait(server, "ACTIVE")
    with VolumeUser(cloud.volume_url) as storage:
        volume = storage.volume()
        body = {"volumeAttachment": {"volumeId": volume}}
        assert user.ask("POST", f"/servers/{server}/os-volume_attachments", body).status == 200
        attached = listener.wait_for(server, "instance.volume_attach.end")
        assert user.ask("DELETE", f"/servers/{server}/os-volume_attachments/{volume}").status == 202
        detached = listener.wait_for(server, "instance.volume_detach.end")
    assert (attached.data["volume_id"], detached.data["volume_id"]) == (volume, volume)
    (device,) = [each["nova_object.data"] for each in attached.data["block_devices"]]
    assert (device["volume_id"], device["device_name"]) == (volume, "/dev/vdb")
    assert detached.data["block_devices"] == []


def test_a_server_on_a_volume_leaves_its_host_while_it_is_shelved(
    cloud: Cloud, user: ComputeUser, image: str, listener: Listener
) -> None:
    root = {"uuid": image, "source_type": "image", "destination_type": "volume", "boot_index": 0, "volume_size": 1}
    server = user.boot("on a volume", "", block_device_mapping_v2=[root])
    _over(user, listener, server, "ACTIVE", "create")
    user.act(server, "shelve")
    user.wait(server, "SHELVED_OFFLOADED")
    listener.wait_for(server, "instance.shelve_offload.end")
    assert listener.types(server) == around("create", "shelve", "shelve_offload")


def test_a_volume_that_is_migrated_is_swapped(cloud: Cloud, user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("swaps", image)
    user.wait(server, "ACTIVE")
    with VolumeUser(cloud.volume_url) as storage:
        old = storage.volume()
        attached = user.ask("POST", f"/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": old}})
        assert attached.status == 200
        listener.wait_for(server, "instance.volume_attach.end")
        storage.wait(old, "in-use")
        storage.ask("POST", f"/volumes/{old}/action", {"os-migrate_volume": {"host": POOLS[1].host}})
        begun, ended = (listener.wait_for(server, f"instance.volume_swap.{phase}") for phase in ("start", "end"))
        storage.wait(old, "in-use")
    assert begun.payload["nova_object.name"] == "InstanceActionVolumeSwapPayload"
    assert begun.data["old_volume_id"] == ended.data["old_volume_id"] == old
    assert begun.data["new_volume_id"] == ended.data["new_volume_id"] != old


def test_interrupting_is_told(cloud: Cloud, user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("dumps", image)
    host = user.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    listener.wait_for(server, "instance.create.end")
    assert user.act(server, "trigger_crash_dump").status == 202
    ended = listener.wait_for(server, "instance.trigger_crash_dump.end")
    assert ended.publisher == f"nova-compute:{host}"
    clouds.fake_driver(cloud, host).fail("inject_nmi", errors.GuestFailed("It does not listen."))
    assert user.act(server, "trigger_crash_dump").status == 202
    failed = listener.wait_for(server, "instance.trigger_crash_dump.error")
    assert failed.data["fault"]["nova_object.data"]["exception_message"] == "It does not listen."
    # Errors come by another queue.
    dumped = [f"instance.trigger_crash_dump.{phase}" for phase in ("start", "end", "start")]
    eventually(lambda: [each for each in listener.types(server)[2:] if not each.endswith(".error")] == dumped, "both")


def test_what_a_host_finds_by_itself_is_told(cloud: Cloud, user: ComputeUser, image: str, listener: Listener) -> None:
    server = user.boot("seen", image)
    host = user.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    clouds.fake_driver(cloud, host).pause(server)
    found = listener.wait(
        lambda each: (
            each.event_type == "instance.update" and each.data["uuid"] == server and each.data["state"] == "paused"
        ),
        "that it is paused",
    )
    states = found.data["state_update"]["nova_object.data"]
    assert (states["old_state"], states["state"], found.data["power_state"]) == ("active", "paused", "paused")
    assert (found.publisher, found.data["request_id"]) == (f"nova-compute:{host}", "")


def test_all_that_was_heard_is_in_the_table(listener: Listener) -> None:
    """Run last: it looks at what all stories above left."""
    known = {event_type(event.name, phase) for event in EVENTS.values() for phase in event.phases or (None,)}
    versioned: list[Heard] = [each for each in listener.heard if "nova_object.name" in each.payload]
    assert versioned
    assert {each.event_type for each in versioned} <= known
