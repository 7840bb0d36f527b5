"""Deleting servers where deleted ones can be restored for a while."""

from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.db.api_tables import ApiWorkflowRow, InstanceMappingRow
from nova_lite.db.repositories import instances, mappings
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from tests.functional.compute_api.cloud import CELL1, Client, Cloud
from tests.functional.compute_api.factories import NOON


@pytest.fixture
def patient(cloud: Cloud) -> Iterator[Cloud]:
    """A cloud that keeps what was deleted for an hour."""
    cloud.conf.set_override("reclaim_instance_interval", 3600)
    yield cloud
    cloud.conf.clear_override("reclaim_instance_interval")


def up(cloud: Cloud, **values: Any) -> Instance:
    return cloud.add_server(CELL1, **{"host": "h1", "launched_at": NOON, **values})


def gone(cloud: Cloud, **values: Any) -> Instance:
    """Return a server that can be restored, as a conductor leaves it."""
    server = up(cloud, vm_state=VmState.SOFT_DELETED, deleted_at=NOON, **values)
    with cloud.api_db.writer() as session:
        mappings.queue_for_delete(session, server.uuid)
    return server


def is_counted(cloud: Cloud, server: Instance) -> bool:
    rows = {row.instance_uuid: row for row in cloud.rows(cloud.api_db, InstanceMappingRow)}
    return not rows[server.uuid].queued_for_delete


def act(client: Client, server: Instance, action: str) -> int:
    return int(client.post(f"/servers/{server.uuid}/action", {action: None}).status_code)


def kinds(cloud: Cloud) -> list[str]:
    return [row.kind for row in cloud.rows(cloud.api_db, ApiWorkflowRow)]


def test_a_deleted_server_can_come_back(patient: Cloud, client: Client) -> None:
    server = up(patient)
    assert client.delete(f"/servers/{server.uuid}").status_code == 204
    assert patient.instance(server.uuid).task_state is TaskState.SOFT_DELETING
    assert not is_counted(patient, server)
    (done,) = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert done["action"] == "delete"
    assert client.delete(f"/servers/{server.uuid}").status_code == 204  # again
    assert kinds(patient) == ["delete-softly"]
    with patient.cells.get(CELL1).db.writer() as session:  # as the workflow ends it
        instances.change(session, server.uuid, vm_state=VmState.SOFT_DELETED, task_state=None)
    shown = client.get(f"/servers/{server.uuid}").json["server"]
    assert (shown["status"], shown["OS-EXT-STS:vm_state"]) == ("SOFT_DELETED", VmState.SOFT_DELETED)
    assert client.delete(f"/servers/{server.uuid}").status_code == 204  # what is deleted stays so
    assert patient.instance(server.uuid).vm_state is VmState.SOFT_DELETED
    assert act(client, server, "restore") == 202
    assert is_counted(patient, server)
    assert act(client, server, "restore") == 409  # on its way


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"vm_state": VmState.BUILDING, "task_state": TaskState.SPAWNING}, id="being built"),
        pytest.param({"vm_state": VmState.ERROR, "launched_at": None}, id="never up"),
        pytest.param({"vm_state": VmState.ERROR, "host": None}, id="on no host"),
        pytest.param({"vm_state": VmState.RESIZED}, id="being resized"),
    ],
)
def test_what_cannot_come_back_goes_for_good(patient: Cloud, client: Client, facts: dict[str, Any]) -> None:
    server = up(patient, **facts)
    assert client.delete(f"/servers/{server.uuid}").status_code == 204
    assert kinds(patient) == ["delete"]


def test_a_server_without_cell_goes_at_once(patient: Cloud, client: Client) -> None:
    server = patient.add_server(None)
    assert client.delete(f"/servers/{server.uuid}").status_code == 204
    assert client.get(f"/servers/{server.uuid}").status_code == 404


def test_force_delete_is_for_good(patient: Cloud, client: Client) -> None:
    for server in (up(patient), gone(patient)):
        assert act(client, server, "forceDelete") == 202
        assert patient.instance(server.uuid).task_state is TaskState.DELETING
        assert act(client, server, "forceDelete") == 202
    assert kinds(patient) == ["delete", "delete"]


def test_force_delete_of_what_is_locked(patient: Cloud, client: Client) -> None:
    server = up(patient, is_locked=True)
    assert act(client, server, "forceDelete") == 409
    assert act(patient.client("admin:ops"), server, "forceDelete") == 202


@pytest.mark.parametrize("vm_state", sorted(set(VmState) - {VmState.SOFT_DELETED, VmState.DELETED}))
def test_only_what_was_deleted_can_be_restored(patient: Cloud, client: Client, vm_state: VmState) -> None:
    server = up(patient, vm_state=vm_state)
    answer = client.post(f"/servers/{server.uuid}/action", {"restore": None})
    assert answer.status_code == 409
    assert answer.json["conflictingRequest"]["message"] == (
        f"Cannot 'restore' instance {server.uuid} while it is in vm_state {vm_state}"
    )
    assert kinds(patient) == []


def test_restoring_needs_room_in_the_quota(patient: Cloud, client: Client) -> None:
    server = gone(patient)
    patient.conf.set_override("instances", 1, group="quota")
    other = up(patient)
    try:
        answer = client.post(f"/servers/{server.uuid}/action", {"restore": None})
        assert answer.status_code == 403
        assert "Quota exceeded for instances" in answer.json["forbidden"]["message"]
        assert not is_counted(patient, server)
        assert client.delete(f"/servers/{other.uuid}").status_code == 204
        assert act(client, server, "restore") == 202
    finally:
        patient.conf.clear_override("instances", group="quota")
    assert is_counted(patient, server)


def test_who_sees_what_was_deleted(patient: Cloud, client: Client) -> None:
    living, dead = up(patient), gone(patient)
    operator = patient.client("admin:demo")

    def seen(who: Client, **query: str) -> set[str]:
        return {server["id"] for server in who.get("/servers/detail", **query).json["servers"]}

    assert seen(client) == seen(operator) == {living.uuid}
    assert seen(client, status="SOFT_DELETED") == set()
    assert seen(client, soft_deleted="true") == {living.uuid}  # not a filter for everybody
    assert seen(operator, soft_deleted="true") == {living.uuid, dead.uuid}
    assert seen(operator, soft_deleted="true", status="SOFT_DELETED") == {dead.uuid}
    assert seen(operator, deleted="true") == {dead.uuid}
    assert seen(operator, deleted="true", soft_deleted="false") == set()
    assert seen(client, **{"changes-since": "2000-01-01"}) == {living.uuid, dead.uuid}
    assert client.get(f"/servers/{dead.uuid}").status_code == 200


def test_metadata_of_a_deleted_server_is_left_alone(patient: Cloud, client: Client) -> None:
    server = gone(patient)
    assert client.post(f"/servers/{server.uuid}/metadata", {"metadata": {"a": "b"}}).status_code == 409
    assert act(client, server, "os-start") == 409
