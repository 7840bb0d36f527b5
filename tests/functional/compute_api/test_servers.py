"""Servers: create, look, change, look, delete, look."""

import base64
from typing import Any

import pytest

from nova_lite.db.api_tables import ApiWorkflowRow, BuildRequestRow, InstanceMappingRow, KeypairRow, RequestSpecRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.states import TaskState, VmState
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Client, Cloud


def body(**values: Any) -> dict[str, Any]:
    return {"server": {"name": "vm1", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none", **values}}


def test_a_server_waits_in_its_build_request(cloud: Cloud, client: Client) -> None:
    with cloud.api_db.writer() as session:
        session.add(
            KeypairRow(user_id="alice", name="mine", type="ssh", fingerprint="aa:bb", public_key="ssh-ed25519 AAAA")
        )
    user_data = base64.b64encode(b"#!/bin/sh").decode()
    answer = client.post(
        "/servers",
        body(key_name="mine", metadata={"a": "b"}, user_data=user_data, config_drive=True, tags=["t"], description="d"),
    )
    assert answer.status_code == 202, answer.text
    accepted = answer.json["server"]
    uuid = accepted["id"]
    assert answer.headers["location"].endswith(f"/v2.1/servers/{uuid}")
    assert accepted["links"][0]["href"] == answer.headers["location"]
    assert len(accepted["adminPass"]) == 12
    assert accepted["security_groups"] == [{"name": "default"}]
    assert accepted["OS-DCF:diskConfig"] == "MANUAL"

    [mapping] = cloud.rows(cloud.api_db, InstanceMappingRow)
    assert (mapping.instance_uuid, mapping.cell_uuid, mapping.vcpus, mapping.ram_mib) == (uuid, None, 1, 512)
    [workflow] = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert (workflow.kind, workflow.subject, workflow.inputs) == ("schedule", uuid, {"instance_uuids": [uuid]})
    [spec] = cloud.rows(cloud.api_db, RequestSpecRow)
    assert spec.spec["flavor"]["name"] == "m1.tiny"

    server = client.get(f"/servers/{uuid}").json["server"]
    assert server["status"] == "BUILD"
    assert server["OS-EXT-STS:task_state"] == "scheduling"
    assert server["OS-EXT-STS:vm_state"] == "building"
    assert server["name"] == "vm1"
    assert server["key_name"] == "mine"
    assert server["metadata"] == {"a": "b"}
    assert server["config_drive"] == "True"
    assert server["tags"] == ["t"]
    assert server["description"] == "d"
    assert server["flavor"]["original_name"] == "m1.tiny"
    assert server["image"]["id"] == IMAGE_ID
    assert server["addresses"] == {}
    assert server["hostId"] == ""

    renamed = client.put(f"/servers/{uuid}", {"server": {"name": "other"}})
    assert renamed.status_code == 200, renamed.text
    assert renamed.json["server"]["name"] == "other"
    assert client.get(f"/servers/{uuid}").json["server"]["name"] == "other"

    assert client.delete(f"/servers/{uuid}").status_code == 204
    assert client.get(f"/servers/{uuid}").status_code == 404
    assert client.delete(f"/servers/{uuid}").status_code == 404
    assert cloud.rows(cloud.api_db, BuildRequestRow) == []
    [mapping] = cloud.rows(cloud.api_db, InstanceMappingRow)
    assert mapping.queued_for_delete


def test_a_server_in_a_cell_is_deleted_by_workflows(cloud: Cloud, client: Client) -> None:
    instance = cloud.add_server(CELL1, host="host1", node_name="host1", vm_state=VmState.ACTIVE)
    assert client.get(f"/servers/{instance.uuid}").json["server"]["status"] == "ACTIVE"

    assert client.delete(f"/servers/{instance.uuid}").status_code == 204
    shown = client.get(f"/servers/{instance.uuid}").json["server"]
    assert shown["OS-EXT-STS:task_state"] == "deleting"
    [workflow] = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert workflow.inputs == {"instance_uuid": instance.uuid, "cell_uuid": CELL1}
    [in_cell] = cloud.rows(cloud.cells.get(CELL1).db, CellWorkflowRow)
    assert in_cell.kind == "delete"

    assert client.delete(f"/servers/{instance.uuid}").status_code == 204
    assert len(cloud.rows(cloud.api_db, ApiWorkflowRow)) == 1


def test_a_server_that_found_no_host_is_deleted_by_its_workflow(cloud: Cloud, client: Client) -> None:
    instance = cloud.add_server(CELL0_UUID, vm_state=VmState.ERROR)
    assert client.delete(f"/servers/{instance.uuid}").status_code == 204
    [workflow] = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert workflow.kind == "delete"
    assert cloud.instance(instance.uuid, CELL0_UUID).task_state is None


def test_a_locked_server_refuses_its_user_but_not_the_administrator(
    cloud: Cloud, client: Client, admin: Client
) -> None:
    instance = cloud.add_server(CELL1, host="host1", is_locked=True)
    answer = client.delete(f"/servers/{instance.uuid}")
    assert answer.status_code == 409
    assert "locked" in answer.json["conflictingRequest"]["message"]
    assert client.post(f"/servers/{instance.uuid}/action", {"os-stop": None}).status_code == 409
    assert admin.delete(f"/servers/{instance.uuid}").status_code == 204


def test_another_project_does_not_see_it(cloud: Cloud, admin: Client) -> None:
    instance = cloud.add_server(CELL1)
    stranger = cloud.client("mallory:elsewhere")
    for method in ("GET", "PUT", "DELETE"):
        given: dict[str, Any] = {"json": {"server": {"name": "x"}}} if method == "PUT" else {}
        answer = stranger.request(method, f"/servers/{instance.uuid}", **given)
        assert answer.status_code == 404, method
    assert stranger.post(f"/servers/{instance.uuid}/action", {"os-stop": None}).status_code == 404
    assert admin.get(f"/servers/{instance.uuid}").status_code == 200


@pytest.mark.parametrize(
    ("action", "body", "vm_state", "task_state"),
    [
        pytest.param("stop", {"os-stop": None}, VmState.ACTIVE, TaskState.POWERING_OFF, id="stop"),
        pytest.param("start", {"os-start": None}, VmState.STOPPED, TaskState.POWERING_ON, id="start"),
        pytest.param("reboot", {"reboot": {"type": "SOFT"}}, VmState.ACTIVE, TaskState.REBOOTING, id="reboot"),
        pytest.param(
            "reboot-hard", {"reboot": {"type": "HARD"}}, VmState.STOPPED, TaskState.REBOOTING_HARD, id="hard reboot"
        ),
    ],
)
def test_an_action_is_recorded_and_shown(
    cloud: Cloud, client: Client, action: str, body: dict[str, Any], vm_state: VmState, task_state: TaskState
) -> None:
    instance = cloud.add_server(CELL1, host="host1", vm_state=vm_state)
    answer = client.post(f"/servers/{instance.uuid}/action", body)
    assert answer.status_code == 202, answer.text
    assert answer.content == b""
    assert cloud.instance(instance.uuid).task_state is task_state
    [workflow] = cloud.rows(cloud.cells.get(CELL1).db, CellWorkflowRow)
    assert workflow.kind == action

    again = client.post(f"/servers/{instance.uuid}/action", {"os-stop": None})
    assert again.status_code == 409
