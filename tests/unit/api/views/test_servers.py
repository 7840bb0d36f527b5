"""What each version shows of a server."""

from datetime import datetime
from typing import Any

import pytest

from nova_lite.api.views import servers
from nova_lite.api.views.servers import Look, Seen
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.states import VmState
from nova_lite.web.versions import Version

NOON = datetime.fromisoformat("2026-01-02T12:00:00.123456")
INSTANCE: dict[str, Any] = {
    "uuid": "0ab5c0de-0000-4000-8000-000000000000",
    "project_id": "p",
    "user_id": "u",
    "display_name": "vm",
    "hostname": "vm",
    "vm_state": VmState.ACTIVE,
    "task_state": None,
    "flavor": Flavor("1", "m1.tiny", 1, 512, 1, extra_specs={"a": "b"}),
    "image_id": "i",
    "created_at": NOON,
    "updated_at": NOON,
    "launched_at": NOON,
    "host": "h1",
    "node_name": "n1",
    "power_state": PowerState.RUNNING,
}
COMMON = {
    "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
    "addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "progress",
}  # fmt: skip
SHOWN = COMMON | {
    "OS-EXT-AZ:availability_zone", "config_drive", "key_name", "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at",
    "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state", "os-extended-volumes:volumes_attached",
}  # fmt: skip
OPERATORS = {"OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:instance_name", "OS-EXT-SRV-ATTR:hypervisor_hostname"}
#: Version → what it added for everyone.
ADDED = {
    "2.9": {"locked"},
    "2.19": {"description"},
    "2.26": {"tags"},
    "2.63": {"trusted_image_certificates"},
    "2.71": {"server_groups"},
    "2.73": {"locked_reason"},
    "2.90": {"OS-EXT-SRV-ATTR:hostname"},
    "2.96": {"pinned_availability_zone"},
    "2.100": {"scheduler_hints"},
}


def seen(version: str, *, as_operator: bool = False, **values: Any) -> Seen:
    look = Look(Version.parse(version), "http://x/v2.1", "http://x", as_operator, True, as_operator)
    return Seen(Instance(**(INSTANCE | values)), look, {})


@pytest.mark.parametrize("version", ["2.1", *(f"2.{int(since[2:]) - 1}" for since in ADDED), *ADDED, "2.104"])
def test_each_version_shows_its_fields(version: str) -> None:
    expected = set(SHOWN)
    for since, names in ADDED.items():
        if Version.parse(since) <= Version.parse(version):
            expected |= names
    assert servers.show(seen(version), None).keys() == expected
    assert servers.detail(seen(version), None).keys() == expected - {"server_groups"}


def test_operators_see_more_and_more_of_it_from_2_3() -> None:
    before = servers.show(seen("2.2", as_operator=True), None).keys() - SHOWN
    assert before == OPERATORS
    after = servers.show(seen("2.3", as_operator=True), None).keys() - SHOWN
    assert after == OPERATORS | {
        f"OS-EXT-SRV-ATTR:{name}"
        for name in (
            "hostname", "kernel_id", "launch_index", "ramdisk_id", "reservation_id", "root_device_name", "user_data",
        )
    }  # fmt: skip
    assert servers.show(seen("2.16"), "UP")["host_status"] == "UP"


def test_an_update_answers_less_before_2_75() -> None:
    assert servers.updated(seen("2.1"), None).keys() == COMMON
    assert servers.updated(seen("2.74"), None).keys() == COMMON | {
        "locked", "description", "tags", "trusted_image_certificates", "server_groups", "locked_reason",
    }  # fmt: skip
    assert servers.updated(seen("2.75"), None) == servers.show(seen("2.75"), None)


def test_the_flavor_is_a_link_and_then_embedded() -> None:
    assert servers.show(seen("2.46"), None)["flavor"] == {
        "id": "1",
        "links": [{"rel": "bookmark", "href": "http://x/flavors/1"}],
    }
    assert servers.show(seen("2.47"), None)["flavor"] == {
        "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0, "original_name": "m1.tiny",
        "extra_specs": {"a": "b"},
    }  # fmt: skip


def test_image_properties_from_2_98() -> None:
    properties = {"hw_machine_type": "q35"}
    assert "properties" not in servers.show(seen("2.97", image_properties=properties), None)["image"]
    assert servers.show(seen("2.98", image_properties=properties), None)["image"]["properties"] == properties


def test_times_and_states() -> None:
    shown = servers.show(seen("2.1"), None)
    assert shown["created"] == "2026-01-02T12:00:00Z"
    assert shown["OS-SRV-USG:launched_at"] == "2026-01-02T12:00:00.123456"
    assert shown["OS-EXT-STS:power_state"] == 1
    assert len(shown["hostId"]) == 56


def test_a_fault_is_shown_with_its_details_to_operators_only() -> None:
    fault = Fault(500, "No valid host was found.", NOON, details="all refused")
    plain = servers.show(seen("2.1", vm_state=VmState.ERROR, fault=fault), None)
    assert plain["fault"] == {"code": 500, "message": "No valid host was found.", "created": "2026-01-02T12:00:00Z"}
    assert "progress" not in plain
    told = servers.show(seen("2.1", as_operator=True, vm_state=VmState.ERROR, fault=fault), None)
    assert told["fault"]["details"] == "all refused"
    assert "fault" not in servers.show(seen("2.1", fault=fault), None)
