"""Actions on servers, beside what ``test_servers.py`` tells."""

from datetime import timedelta
from typing import Any

import pytest

from nova_lite.cells import operations
from nova_lite.errors import Conflict
from nova_lite.model.states import ACTIONS, TaskState, VmState, refusal
from nova_lite.rpc import compute
from tests.functional.compute_api.cloud import CELL1, Client, Cloud
from tests.functional.compute_api.factories import NOON


class Agent:
    """Answers for one compute host."""

    def console_output(self, instance_uuid: str, lines: int | None) -> str:
        if instance_uuid.startswith("0"):
            raise Conflict("not now")
        return "\n".join(f"line {number}" for number in range(5 if lines is None else lines))


@pytest.mark.parametrize(("body", "lines"), [({}, 5), ({"length": 2}, 2), ({"length": "3"}, 3), ({"length": -1}, 5)])
def test_console_output_comes_from_the_host(cloud: Cloud, client: Client, body: dict[str, Any], lines: int) -> None:
    server = cloud.add_server(CELL1, uuid="1" + "f" * 7 + "-ffff-4fff-8fff-ffffffffffff", host="h1", launched_at=NOON)
    serving = cloud.cells.get(CELL1).bus.serve(compute.TOPIC, "h1", Agent())
    serving.start()
    try:
        answer = client.post(f"/servers/{server.uuid}/action", {"os-getConsoleOutput": body})
    finally:
        serving.stop()
    assert answer.status_code == 200, answer.text
    assert answer.json["output"].count("line") == lines


def test_console_output_of_a_host_that_is_silent(cloud: Cloud, client: Client) -> None:
    cell = cloud.cells.get(CELL1)
    cell.bus.call_timeout_s = 0.3
    server = cloud.add_server(CELL1, host="h1", launched_at=NOON)
    answer = client.post(f"/servers/{server.uuid}/action", {"os-getConsoleOutput": {}})
    assert answer.status_code == 503
    assert "serviceUnavailable" in answer.json


@pytest.mark.parametrize("place", [None, CELL1], ids=["waiting", "never started"])
def test_a_server_never_started_has_no_console_output(cloud: Cloud, client: Client, place: str | None) -> None:
    server = cloud.add_server(place)
    answer = client.post(f"/servers/{server.uuid}/action", {"os-getConsoleOutput": {}})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("body", "states"),
    [
        pytest.param({"os-start": None}, {"vm_state": VmState.ACTIVE}, id="start what runs"),
        pytest.param({"os-stop": None}, {"vm_state": VmState.STOPPED}, id="stop what is stopped"),
        pytest.param({"reboot": {"type": "SOFT"}}, {"vm_state": VmState.STOPPED}, id="soft reboot of a stopped one"),
        pytest.param({"os-stop": None}, {"task_state": TaskState.REBOOTING}, id="stop while rebooting"),
        pytest.param({"os-stop": None}, {"task_state": TaskState.DELETING}, id="stop while deleting"),
        pytest.param({"os-stop": None}, {"vm_state": VmState.BUILDING}, id="stop while building"),
    ],
)
def test_the_wrong_state_refuses(cloud: Cloud, client: Client, body: dict[str, Any], states: dict[str, Any]) -> None:
    server = cloud.add_server(CELL1, host="h1", **states)
    answer = client.post(f"/servers/{server.uuid}/action", body)
    assert answer.status_code == 409
    assert "while it is in" in answer.json["conflictingRequest"]["message"]
    assert cloud.instance(server.uuid).task_state is server.task_state


#: Action of the table of states → the body that asks for it.
BODIES: dict[str, dict[str, Any]] = {
    "start": {"os-start": None},
    "stop": {"os-stop": None},
    "reboot": {"reboot": {"type": "SOFT"}},
    "reboot-hard": {"reboot": {"type": "HARD"}},
    "pause": {"pause": None},
    "unpause": {"unpause": None},
    "suspend": {"suspend": None},
    "resume": {"resume": None},
}


@pytest.mark.parametrize("action", BODIES)
def test_every_state_refuses_or_begins_as_the_table_says(cloud: Cloud, client: Client, action: str) -> None:
    shown = operations.shown(action)
    at_rest = [(vm_state, None) for vm_state in VmState if vm_state is not VmState.DELETED]
    busy = [(min(ACTIONS[action].starts_in), task_state) for task_state in TaskState]
    for vm_state, task_state in (*at_rest, *busy):
        server = cloud.add_server(CELL1, host="h1", vm_state=vm_state, task_state=task_state)
        answer = client.post(f"/servers/{server.uuid}/action", BODIES[action])
        refused = refusal(action, vm_state, task_state)
        if refused is None:
            assert (answer.status_code, answer.text) == (202, "")
            assert cloud.instance(server.uuid).task_state is ACTIONS[action].while_busy
            continue
        assert answer.status_code == 409
        assert answer.json["conflictingRequest"]["message"] == (
            f"Cannot '{shown}' instance {server.uuid} while it is in "
            f"{refused} {vm_state if refused == 'vm_state' else task_state}"
        )
        assert cloud.instance(server.uuid).task_state is task_state


@pytest.mark.parametrize("action", BODIES)
def test_locked_servers_obey_administrators_only(cloud: Cloud, client: Client, action: str) -> None:
    vm_state = min(ACTIONS[action].starts_in)
    server = cloud.add_server(CELL1, host="h1", vm_state=vm_state, is_locked=True)
    refused = client.post(f"/servers/{server.uuid}/action", BODIES[action])
    assert refused.status_code == 409
    assert refused.json["conflictingRequest"]["message"] == f"Instance {server.uuid} is locked"
    assert cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", BODIES[action]).status_code == 202


@pytest.mark.parametrize("action", BODIES)
def test_what_begins_is_recorded_under_its_users_name(cloud: Cloud, client: Client, action: str) -> None:
    server = cloud.add_server(CELL1, host="h1", vm_state=min(ACTIONS[action].starts_in))
    answer = client.post(f"/servers/{server.uuid}/action", BODIES[action])
    (recorded,) = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert (recorded["action"], recorded["request_id"], recorded["user_id"]) == (
        operations.shown(action),
        answer.headers["x-openstack-request-id"],
        "alice",
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"os-start": None, "os-stop": None}, id="two at once"),
        pytest.param({"levitate": None}, id="unknown action"),
        pytest.param({"reboot": {}}, id="no type"),
        pytest.param({"reboot": {"type": "WARM"}}, id="unknown type"),
        pytest.param({"reboot": None}, id="no arguments"),
        pytest.param({"os-getConsoleOutput": {"length": "many"}}, id="length is no number"),
        pytest.param({"os-getConsoleOutput": {"lines": 1}}, id="unknown argument"),
        pytest.param(["os-start"], id="no object"),
    ],
)
def test_bad_bodies_are_refused(cloud: Cloud, client: Client, body: object) -> None:
    server = cloud.add_server(CELL1, host="h1", launched_at=NOON - timedelta(days=1))
    answer = client.post(f"/servers/{server.uuid}/action", body)
    assert answer.status_code == 400
    assert cloud.instance(server.uuid).task_state is None


def test_an_unknown_server_is_not_found(client: Client) -> None:
    for uuid in ("nobody", "99999999-9999-4999-8999-999999999999"):
        answer = client.post(f"/servers/{uuid}/action", {"os-stop": None})
        assert answer.status_code == 404
