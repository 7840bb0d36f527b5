"""Payloads have the names, versions and keys that listeners know, and no secrets."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from nova_lite import errors
from nova_lite.model import legacy_notifications, notifications, payloads
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.notifications import EVENTS, Shape, Who
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.states import VmState

CANARY = "canary-77aa"
WHO = Who("initiator", "their-project", "req-1")
MOMENT = datetime.fromisoformat("2026-01-02T03:04:05.678")


def _instance() -> Instance:
    """Return a server with a canary wherever a secret may be."""
    return Instance(
        uuid="5f0a2a60-0000-4000-8000-000000000001",
        project_id="project",
        user_id="user",
        display_name="name",
        hostname="host-name",
        vm_state=VmState.ACTIVE,
        task_state=None,
        flavor=Flavor("1", "tiny", 1, 512, 1, swap_mib=64),
        image_id="image",
        created_at=MOMENT,
        updated_at=MOMENT,
        power_state=PowerState.RUNNING,
        host="host1",
        node_name="node1",
        key_name="key",
        key_data="ssh-rsa AAAA",
        user_data=CANARY,
        scheduling={"hint": CANARY},
        fault=Fault(500, CANARY, MOMENT, CANARY),
        volumes=(BlockDevice("uuid", "volume", "/dev/vdb", attachment_id=CANARY, next_attachment_id=CANARY),),
    )


def test_a_server_is_told_without_its_secrets() -> None:
    more = payloads.created(_instance())
    told = payloads.instance(notifications.INSTANCE_CREATE, _instance(), WHO, with_volumes=True, fault=None, **more)
    assert CANARY not in json.dumps(told)
    assert CANARY not in json.dumps(legacy_notifications.instance(_instance()))
    data = told["nova_object.data"]
    assert isinstance(data, dict)
    assert (data["created_at"], data["power_state"], data["state"]) == ("2026-01-02T03:04:05Z", "running", "active")
    assert (data["action_initiator_user"], data["action_initiator_project"]) == ("initiator", "their-project")
    assert (data["user_id"], data["tenant_id"], data["request_id"]) == ("user", "project", "req-1")
    (device,) = data["block_devices"]
    assert device["nova_object.data"]["volume_id"] == "volume"


def test_volumes_are_listed_only_if_asked_for() -> None:
    told = payloads.instance(notifications.INSTANCE_ACTION, _instance(), WHO, with_volumes=False, fault=None)
    assert isinstance(told["nova_object.data"], dict)
    assert told["nova_object.data"]["block_devices"] is None


def _raise(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as exc:
        return exc


def test_words_of_errors_that_are_not_ours_are_not_told() -> None:
    told = payloads.failure(_raise(ValueError(CANARY)))
    assert CANARY not in json.dumps(told)
    assert told["nova_object.data"] == {
        "exception": "ValueError",
        "exception_message": "An internal error happened.",
        "function_name": "_raise",
        "module_name": __name__,
        "traceback": told["nova_object.data"]["traceback"],  # type: ignore[index]
    }


def test_our_errors_are_told_as_users_read_them_and_without_facts() -> None:
    told = payloads.failure(_raise(errors.Conflict("It is busy.", url=CANARY)))
    assert CANARY not in json.dumps(told)
    assert told["nova_object.data"]["exception_message"] == "It is busy."  # type: ignore[index]


def test_of_an_error_another_conductor_met_its_reason_is_told() -> None:
    told = payloads.failure(None, "It is gone.")
    assert told["nova_object.data"]["exception_message"] == "It is gone."  # type: ignore[index]


def test_what_hosts_are_sought_for() -> None:
    spec = RequestSpec(
        "project",
        "user",
        Flavor("1", "tiny", 1, 512, 1),
        "image",
        {"hw_boot_menu": "Yes", "hw_video_ram": "16", "hw_numa_nodes": "some", "os_distro": "debian", "mine": CANARY},
        wanted_host="host1",
        hints={"group": "some-group", "different_host": ["a", "b"]},
    )
    told = payloads.request_spec(spec, "server", count=3, group=None)["nova_object.data"]
    assert isinstance(told, dict)
    assert CANARY not in json.dumps(told)
    image = told["image"]["nova_object.data"]
    assert image["properties"]["nova_object.data"] == {"hw_boot_menu": True, "hw_video_ram": 16, "os_distro": "debian"}
    assert told["scheduler_hints"] == {"group": ["some-group"], "different_host": ["a", "b"]}
    assert told["requested_destination"]["nova_object.data"]["host"] == "host1"
    assert (told["num_instances"], told["force_hosts"]) == (3, None)
    forced = payloads.request_spec(replace(spec, skips_filters=True, image_id=""), "server", count=1, group=None)
    told = forced["nova_object.data"]
    assert isinstance(told, dict)
    assert (told["force_hosts"], told["requested_destination"], told["image"]) == ("host1", None, None)


def test_a_payload_with_other_keys_is_refused() -> None:
    with pytest.raises(TypeError, match="b, c"):
        Shape("Some", "1.0", ("a", "b")).filled(a=1, c=2)
    assert Shape("Some", "1.0", ("a", "b")).partly(a=1)["nova_object.data"] == {"a": 1}
    with pytest.raises(TypeError, match="c"):
        Shape("Some", "1.0", ("a", "b")).partly(a=1, c=2)


def test_an_event_that_is_not_in_the_table_is_refused() -> None:
    assert notifications.event_type("instance.create", "end") == "instance.create.end"
    assert notifications.event_type("flavor.create") == "flavor.create"
    for name, phase in (("instance.create", None), ("flavor.create", "end"), ("instance.dance", "end")):
        with pytest.raises(KeyError):
            notifications.event_type(name, phase)


@pytest.mark.parametrize(
    ("action", "phase", "told"),
    [
        ("create", "error", "compute.instance.create.error"),
        ("pause", "error", None),
        ("resize_finish", "end", "compute.instance.finish_resize.end"),
        ("volume_attach", "start", None),
        ("volume_attach", "end", "compute.instance.volume.attach"),
        ("volume_swap", "end", None),
    ],
)
def test_events_of_old(action: str, phase: str, told: str | None) -> None:
    assert f"instance.{action}" in EVENTS
    assert legacy_notifications.event_type(action, phase) == told
