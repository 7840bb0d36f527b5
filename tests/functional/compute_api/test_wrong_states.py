"""Every action in every state that forbids it, made from the table of states; and on servers that are locked."""

from typing import Any

import pytest

from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, mappings
from nova_lite.model.instance import Instance
from nova_lite.model.states import ACTIONS, TaskState, VmState, refusal
from tests.functional.compute_api import test_server_actions
from tests.functional.compute_api.cloud import CELL1, CELL2, IMAGE_ID, Client, Cloud

_NODE = "11110000-0000-4000-8000-000000000001"
#: Name of an action in the table of states, told apart where several are one there → the body that asks for it. Those
#: that only begin something in the cell are tried in ``test_server_actions``.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("rescue", ""): {"rescue": None},
    ("rebuild", ""): {"rebuild": {"imageRef": IMAGE_ID}},
    ("rebuild", "evacuate"): {"evacuate": {}},
    ("restore", ""): {"restore": None},
    ("resize", ""): {"resize": {"flavorRef": "2"}},
    ("resize", "migrate"): {"migrate": None},
    ("resize", "to host"): {"migrate": {"host": "h2"}},
    ("confirm-resize", ""): {"confirmResize": None},
    ("revert-resize", ""): {"revertResize": None},
    ("live-migrate", ""): {"os-migrateLive": {"host": None, "block_migration": "auto"}},
    ("snapshot", ""): {"createImage": {"name": "snap"}},
    ("backup", ""): {"createBackup": {"name": "b", "backup_type": "daily", "rotation": 1}},
    ("shelve", ""): {"shelve": None},
    ("shelve-offload", ""): {"shelveOffload": None},
    ("unshelve", ""): {"unshelve": None},
}
#: What no body asks for, or not in states that forbid it: servers are made so, and deletes win.
_NEVER_REFUSED = {"create", "delete", "delete-softly"}
#: What only administrators may do, and what reads a server and changes nothing of it.
_NOT_FOR_OWNERS = {"migrate", "evacuate", "os-migrateLive", "shelveOffload"}
_READING = {"createImage", "createBackup"}
_MOVES: dict[str, dict[str, Any]] = {"migrate": {}, "os-migrateLive": {"block_migration": "auto"}, "evacuate": {}}


def every(wanted: dict[tuple[str, str], dict[str, Any]]) -> pytest.MarkDecorator:
    cases = [pytest.param(action, body, id=f"{action} {other}".strip()) for (action, other), body in wanted.items()]
    return pytest.mark.parametrize(("action", "body"), cases)


def add_server(cloud: Cloud, vm_state: VmState, **values: Any) -> Instance:
    return cloud.add_server(CELL1, vm_state=vm_state, host="h1", node=_NODE, node_name="h1.lan", **values)


def act(caller: Client, server: Instance, body: dict[str, Any]) -> Any:
    return caller.post(f"/servers/{server.uuid}/action", body)


def test_every_action_is_tried() -> None:
    assert {action for action, _ in BODIES} | set(test_server_actions.BODIES) | _NEVER_REFUSED == set(ACTIONS)


@every(BODIES)
def test_what_a_state_forbids_is_refused_and_leaves_no_trace(
    cloud: Cloud, admin: Client, action: str, body: dict[str, Any]
) -> None:
    images = set(cloud.images.images)
    tried: list[tuple[VmState, TaskState | None]]
    tried = [(vm_state, None) for vm_state in VmState if vm_state is not VmState.DELETED]
    tried += [(min(ACTIONS[action].starts_in), task_state) for task_state in TaskState]
    server = add_server(cloud, VmState.ACTIVE)
    for vm_state, task_state in tried:
        refused = refusal(action, vm_state, task_state)
        if refused is None:
            continue
        with cloud.cells.get(CELL1).db.writer() as session:
            instances.change(session, server.uuid, vm_state=vm_state, task_state=task_state)
        answer = act(admin, server, body)
        assert answer.status_code == 409, (vm_state, task_state, answer.text)
        shown = vm_state if refused == "vm_state" else task_state
        assert f"while it is in {refused} {shown}" in answer.json["conflictingRequest"]["message"]
        found = cloud.instance(server.uuid)
        assert (found.vm_state, found.task_state) == (vm_state, task_state)
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []
    assert cloud.rows(cloud.cells.get(CELL1).db, CellWorkflowRow) == []
    assert set(cloud.images.images) == images


@every({key: body for key, body in BODIES.items() if not (_NOT_FOR_OWNERS | _READING) & set(body)})
def test_a_locked_server_refuses_its_owner(cloud: Cloud, client: Client, action: str, body: dict[str, Any]) -> None:
    server = add_server(cloud, min(ACTIONS[action].starts_in), is_locked=True)
    answer = act(client, server, body)
    assert answer.status_code == 409, answer.text
    assert answer.json["conflictingRequest"]["message"] == f"Instance {server.uuid} is locked"
    assert cloud.instance(server.uuid).task_state is None


@pytest.mark.parametrize("action", _MOVES)
def test_a_host_that_is_none_or_in_another_cell_is_refused(cloud: Cloud, admin: Client, action: str) -> None:
    for host, cell in (("h1", CELL1), ("far", CELL2)):
        with cloud.api_db.writer() as session:
            mappings.add_host(session, host, cell)
    server = add_server(cloud, VmState.ACTIVE)
    for host in ("nowhere", "far", "", "h1\n"):
        answer = act(admin, server, {action: {**_MOVES[action], "host": host}})
        assert answer.status_code in (400, 404), (host, answer.text)
    assert cloud.instance(server.uuid).task_state is None
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []
