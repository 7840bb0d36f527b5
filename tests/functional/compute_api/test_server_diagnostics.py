"""How a running server fares, and what is done inside it: its password, its memory dumped."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from nova_lite import errors
from nova_lite.db.columns import utcnow
from nova_lite.model.diagnostics import CpuCounters, Diagnostics, DiskCounters, NicCounters
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.rpc import compute
from tests.functional.compute_api.cloud import CELL1, Client, Cloud

_FOUND = Diagnostics(
    driver="libvirt",
    hypervisor="qemu",
    hypervisor_os="linux",
    memory_max_kib=524288,
    memory_used_kib=262144,
    cpus=(CpuCounters(0, 17_300_000_000),),
    nics=(NicCounters("tap1", "52:54:00:00:00:01", 1, 2, 3, 4, 5, 6, 7, 8),),
    disks=(DiskCounters("vda", 262144, 112, 5778432, 488, 0),),
    memory_kib={"actual": 524288},
)


class Agent:
    """Answers for one compute host; ``told`` is what it was told, ``error`` what it raises."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.error: errors.NovaLiteError | None = None

    def diagnostics(self, instance_uuid: str) -> dict[str, Any]:
        self._note(instance_uuid)
        found: dict[str, Any] = msgspec.to_builtins(_FOUND)
        return found

    def set_password(self, instance_uuid: str, user: str, password: str) -> None:
        self._note(instance_uuid, user, password)

    def inject_nmi(self, instance_uuid: str) -> None:
        self._note(instance_uuid)

    def _note(self, *told: str) -> None:
        self.told.append(told)
        if self.error is not None:
            raise self.error


@pytest.fixture
def agent(cloud: Cloud) -> Iterator[Agent]:
    found = Agent()
    serving = cloud.cells.get(CELL1).bus.serve(compute.TOPIC, "h1", found)
    serving.start()
    with contextlib.ExitStack() as stack:
        stack.callback(serving.stop)
        yield found


def add_running(cloud: Cloud, **values: Any) -> Instance:
    launched_at = utcnow() - timedelta(minutes=10)
    return cloud.add_server(
        CELL1, **{"host": "h1", "launched_at": launched_at, "power_state": PowerState.RUNNING, **values}
    )


def last_action(caller: Client, server: Instance) -> tuple[str, str, str | None]:
    """Return the last action on a server: its name, its event and what went wrong."""
    (newest, *_) = caller.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    url = f"/servers/{server.uuid}/os-instance-actions/{newest['request_id']}"
    (event,) = caller.get(url).json["instanceAction"]["events"]
    return newest["action"], event["event"], event["details"]


def test_it_fares_as_its_hypervisor_says_and_alike_for_all(cloud: Cloud, admin: Client, agent: Agent) -> None:
    server = add_running(cloud)
    old = cloud.client("admin", version="2.47").get(f"/servers/{server.uuid}/diagnostics")
    assert old.status_code == 200, old.text
    assert old.json == {
        "cpu0_time": 17_300_000_000,
        "vda_read_req": 112,
        "vda_read": 262144,
        "vda_write_req": 488,
        "vda_write": 5778432,
        "vda_errors": 0,
        "tap1_rx": 1,
        "tap1_rx_packets": 2,
        "tap1_rx_errors": 3,
        "tap1_rx_drop": 4,
        "tap1_tx": 5,
        "tap1_tx_packets": 6,
        "tap1_tx_errors": 7,
        "tap1_tx_drop": 8,
        "memory": 524288,
        "memory-actual": 524288,
    }
    found = admin.get(f"/servers/{server.uuid}/diagnostics").json
    assert 600 <= found.pop("uptime") < 1200
    assert found == {
        "state": "running",
        "driver": "libvirt",
        "hypervisor": "qemu",
        "hypervisor_os": "linux",
        "config_drive": False,
        "num_cpus": 1,
        "num_nics": 1,
        "num_disks": 1,
        "cpu_details": [{"id": 0, "time": 17_300_000_000, "utilisation": None}],
        "disk_details": [
            {
                "read_bytes": 262144,
                "read_requests": 112,
                "write_bytes": 5778432,
                "write_requests": 488,
                "errors_count": 0,
            }
        ],
        "nic_details": [
            {
                "mac_address": "52:54:00:00:00:01",
                "rx_octets": 1,
                "rx_packets": 2,
                "rx_errors": 3,
                "rx_drop": 4,
                "rx_rate": None,
                "tx_octets": 5,
                "tx_packets": 6,
                "tx_errors": 7,
                "tx_drop": 8,
                "tx_rate": None,
            }
        ],
        "memory_details": {"maximum": 512, "used": 256},
    }


def test_what_does_not_run_fares_not_at_all(cloud: Cloud, admin: Client, agent: Agent) -> None:
    server = add_running(cloud, power_state=PowerState.SHUTDOWN, vm_state=VmState.STOPPED)
    answer = admin.get(f"/servers/{server.uuid}/diagnostics")
    assert answer.status_code == 409
    assert "power state shutdown" in answer.json["conflictingRequest"]["message"]
    assert agent.told == []
    assert admin.get(f"/servers/{cloud.add_server(None).uuid}/diagnostics").status_code == 409


def test_owners_do_not_see_it(cloud: Cloud, client: Client, agent: Agent) -> None:
    server = add_running(cloud)
    assert client.get(f"/servers/{server.uuid}/diagnostics").status_code == 403


def change(caller: Client, server: Instance) -> Any:
    return caller.post(f"/servers/{server.uuid}/action", {"changePassword": {"adminPass": "opensesame"}})


@pytest.mark.parametrize(("properties", "user"), [({}, "root"), ({"os_admin_user": "core"}, "core")])
def test_a_password_is_set_and_kept_nowhere_as_it_is(
    cloud: Cloud, client: Client, admin: Client, agent: Agent, properties: dict[str, str], user: str
) -> None:
    server = add_running(cloud, image_properties=properties)
    assert change(client, server).status_code == 202
    assert agent.told == [(server.uuid, user, "opensesame")]
    assert last_action(admin, server) == ("changePassword", "compute_set_admin_password", None)
    assert b"opensesame" not in cloud.cell_files[CELL1].read_bytes()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (errors.Conflict("QEMU guest agent is not enabled."), 409, "QEMU guest agent is not enabled."),
        (errors.Unsupported("No agent answers."), 501, "Unable to set password on instance"),
    ],
    ids=["made without an agent", "no agent answers"],
)
def test_a_password_that_cannot_be_set(
    cloud: Cloud, client: Client, admin: Client, agent: Agent, error: errors.NovaLiteError, status: int, message: str
) -> None:
    server = add_running(cloud)
    agent.error = error
    answer = change(client, server)
    assert (answer.status_code, next(iter(answer.json.values()))["message"]) == (status, message)
    assert last_action(admin, server)[2] == message


def test_a_dump_is_begun_and_its_action_tells_how_that_went(
    cloud: Cloud, client: Client, admin: Client, agent: Agent
) -> None:
    server = add_running(cloud, vm_state=VmState.ERROR)
    body = {"trigger_crash_dump": None}
    assert client.post(f"/servers/{server.uuid}/action", body).status_code == 202
    assert last_action(admin, server) == ("trigger_crash_dump", "compute_trigger_crash_dump", None)
    agent.error = errors.Unsupported("It cannot be interrupted.")
    assert client.post(f"/servers/{server.uuid}/action", body).status_code == 202
    assert last_action(admin, server)[2] == "It cannot be interrupted."
    assert agent.told == [(server.uuid,)] * 2
    assert cloud.client(version="2.16").post(f"/servers/{server.uuid}/action", body).status_code == 404


@pytest.mark.parametrize(
    ("body", "states"),
    [
        ({"changePassword": {"adminPass": "x"}}, {"vm_state": VmState.STOPPED}),
        ({"changePassword": {"adminPass": "x"}}, {"task_state": TaskState.REBOOTING}),
        ({"changePassword": {"adminPass": "x"}}, {"is_locked": True}),
        ({"trigger_crash_dump": None}, {"vm_state": VmState.STOPPED}),
        ({"trigger_crash_dump": None}, {"task_state": TaskState.DELETING}),
    ],
)
def test_the_wrong_state_refuses(
    cloud: Cloud, client: Client, agent: Agent, body: dict[str, Any], states: dict[str, Any]
) -> None:
    server = add_running(cloud, **states)
    assert client.post(f"/servers/{server.uuid}/action", body).status_code == 409
    assert agent.told == []


@pytest.mark.parametrize("body", [{"changePassword": None}, {"changePassword": {}}, {"trigger_crash_dump": {}}])
def test_bad_bodies(cloud: Cloud, client: Client, body: dict[str, Any]) -> None:
    assert client.post(f"/servers/{add_running(cloud).uuid}/action", body).status_code == 400
