"""Evacuating servers, as far as the API decides; the rest: ``tests/functional/workflows/test_evacuations.py``."""

import itertools
from typing import Any

import pytest

from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import MigrationRow
from nova_lite.db.repositories import hosts, mappings
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import Decision, RequestSpec
from nova_lite.model.states import ACTIONS, TaskState, VmState
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.decisions import have_decided

NODE = "11110000-0000-4000-8000-000000000001"


@pytest.fixture
def server(cloud: Cloud) -> Instance:
    for host, cell in (("h1", CELL1), ("h2", CELL1), ("far", CELL2)):
        with cloud.api_db.writer() as session:
            mappings.add_host(session, host, cell)
    return add_server(cloud)


def add_server(cloud: Cloud, **values: Any) -> Instance:
    return cloud.add_server(CELL1, host="h1", node=NODE, node_name="h1.lan", **values)


def evacuate(client: Client, server: Instance, **asked: Any) -> Any:
    return client.post(f"/servers/{server.uuid}/action", {"evacuate": asked})


def said(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    (fault,) = answer.json.values()
    return str(fault["message"])


def test_an_evacuation_is_written_down(cloud: Cloud, admin: Client, server: Instance) -> None:
    answer = evacuate(admin, server, host="h2")
    assert (answer.status_code, answer.text) == (200, "")
    (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
    (migration,) = cloud.rows(cloud.cells.get(CELL1).db, MigrationRow)
    assert workflow.uuid == migration.uuid
    assert (migration.kind, migration.status, migration.source_host) == ("evacuation", "accepted", "h1")
    assert (workflow.inputs["host"], workflow.inputs["stops"], workflow.inputs["skips_filters"]) == ("h2", True, False)
    shown = admin.get(f"/servers/{server.uuid}").json["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("REBUILD", "rebuilding")
    (done,) = admin.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert done["action"] == "evacuate"


@pytest.mark.parametrize(
    ("version", "asked", "stops", "skips"),
    [
        ("2.13", {"onSharedStorage": False}, False, False),
        ("2.13", {"onSharedStorage": "true"}, False, False),
        ("2.14", {}, False, False),
        ("2.29", {"host": "h2", "force": True}, False, True),
        ("2.68", {"host": "h2"}, False, False),
        ("2.94", {}, False, False),
        ("2.95", {}, True, False),
    ],
)
def test_what_versions_mean(
    cloud: Cloud, server: Instance, version: str, asked: dict[str, Any], stops: bool, skips: bool
) -> None:
    answer = evacuate(cloud.client("admin:admins", version), server, **asked)
    assert answer.status_code == 200, answer.text
    assert ("adminPass" in answer.text) is (version == "2.13")
    (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert (workflow.inputs["stops"], workflow.inputs["skips_filters"]) == (stops, skips)
    expected = {"onSharedStorage": True} if asked.get("onSharedStorage") == "true" else asked
    assert workflow.inputs["on_shared_storage"] is expected.get("onSharedStorage")


@pytest.mark.parametrize(
    ("asked", "password"), [({"onSharedStorage": "False", "adminPass": "x"}, "x"), ({"onSharedStorage": True}, None)]
)
def test_a_password_is_answered_where_it_once_was(
    cloud: Cloud, server: Instance, asked: dict[str, Any], password: str | None
) -> None:
    assert evacuate(cloud.client("admin:admins", "2.1"), server, **asked).json == {"adminPass": password}


@pytest.mark.parametrize(
    ("version", "asked"),
    [
        ("2.13", {}),
        ("2.13", {"onSharedStorage": True, "adminPass": "x"}),
        ("2.14", {"onSharedStorage": False}),
        ("2.28", {"host": "h2", "force": False}),
        ("2.29", {"force": True}),
        ("2.68", {"host": "h2", "force": False}),
        ("2.104", {"host": "h1"}),
        ("2.104", {"host": "far"}),
        ("2.104", {"host": ""}),
        ("2.104", {"adminPass": 1}),
    ],
)
def test_what_cannot_be_is_refused(cloud: Cloud, server: Instance, version: str, asked: dict[str, Any]) -> None:
    assert said(evacuate(cloud.client("admin:admins", version), server, **asked), 400)
    assert cloud.instance(server.uuid).task_state is None
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []


@pytest.mark.parametrize("host", [None, "h2"])
def test_it_is_rehearsed(
    cloud: Cloud, admin: Client, server: Instance, monkeypatch: pytest.MonkeyPatch, host: str | None
) -> None:
    questions = []

    def choose(spec: RequestSpec, uuid: str) -> Decision:
        questions.append((uuid, spec.within_cell, spec.not_on, spec.wanted_host))
        return Decision((), refusal="No valid host was found.")

    have_decided(cloud, monkeypatch, "choose", choose)
    answer = admin.post(f"/servers/{server.uuid}/action?dry_run=1", {"evacuate": {"host": host} if host else {}})
    assert answer.status_code == 200, answer.text
    found = answer.json["dry_run"]
    assert (found["would_succeed"], found["refusal"]) == (False, "No valid host was found.")
    assert questions == [(server.uuid, CELL1, ("h1",), host)]
    assert cloud.instance(server.uuid).task_state is None
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []


def test_a_rehearsal_is_refused_as_the_real_thing(cloud: Cloud, admin: Client, server: Instance) -> None:
    def rehearse(caller: Client, **asked: Any) -> Any:
        return caller.post(f"/servers/{server.uuid}/action?dry_run=1", {"evacuate": asked})

    said(rehearse(admin, host="h1"), 400)
    said(rehearse(admin, host="nowhere"), 404)
    refused = rehearse(cloud.client("admin:admins", "2.13"), onSharedStorage=True, adminPass="x")
    assert "adminPass" in said(refused, 400)
    with cloud.cells.get(CELL1).db.writer() as session:
        hosts.beat(session, "h1", hosts.AGENT)
    assert said(rehearse(admin), 400) == "Compute service of h1 is still in use."


def test_an_unknown_host_is_not_found(admin: Client, server: Instance) -> None:
    assert said(evacuate(admin, server, host="nowhere"), 404) == "Compute host nowhere not found."


def test_a_host_that_is_up_keeps_its_servers_unless_it_is_forced_down(
    cloud: Cloud, admin: Client, server: Instance
) -> None:
    with cloud.cells.get(CELL1).db.writer() as session:
        hosts.beat(session, "h1", hosts.AGENT)
    assert said(evacuate(admin, server), 400) == "Compute service of h1 is still in use."
    (service,) = admin.get("/os-services", host="h1").json["services"]
    assert admin.put(f"/os-services/{service['id']}", {"forced_down": True}).status_code == 200
    assert evacuate(admin, server).status_code == 200


def test_every_wrong_state_refuses(cloud: Cloud, admin: Client, server: Instance) -> None:
    starts = ACTIONS["rebuild"].starts_in
    rest = [(vm_state, None) for vm_state in VmState if vm_state not in (VmState.DELETED, *starts)]
    busy = [(VmState.ACTIVE, task_state) for task_state in TaskState]
    for vm_state, task_state in itertools.chain(rest, busy):
        other = add_server(cloud, vm_state=vm_state, task_state=task_state)
        attribute = f"vm_state {vm_state}" if task_state is None else f"task_state {task_state}"
        assert said(evacuate(admin, other), 409) == (
            f"Cannot 'evacuate' instance {other.uuid} while it is in {attribute}"
        )
    for vm_state in starts:
        assert evacuate(admin, add_server(cloud, vm_state=vm_state)).status_code == 200


def test_only_administrators_may(cloud: Cloud, client: Client, server: Instance) -> None:
    assert evacuate(client, server).status_code == 403
    assert evacuate(cloud.client("admin:admins"), cloud.add_server(CELL1, vm_state=VmState.ERROR)).status_code == 409
