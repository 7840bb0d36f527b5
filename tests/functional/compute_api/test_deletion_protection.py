"""Stories of servers that are protected from being deleted."""

import pytest

from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.db.repositories import mappings
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.states import TaskState, VmState
from tests.functional.compute_api.cloud import CELL1, CELL2, IMAGE_ID, Client, Cloud


def protection(server_id: str) -> str:
    return f"/servers/{server_id}/deletion-protection"


def actions(client: Client, server_id: str) -> list[str]:
    done = client.get(f"/servers/{server_id}/os-instance-actions").json["instanceActions"]
    return [each["action"] for each in done]


@pytest.mark.parametrize("cell", [CELL1, CELL0_UUID, None], ids=["in a cell", "in cell0", "in its build request"])
@pytest.mark.parametrize("interval", [0, 3600], ids=["for good", "to be restored"])
def test_a_protected_server_is_not_deleted(
    cloud: Cloud, client: Client, admin: Client, cell: str | None, interval: int
) -> None:
    server = cloud.add_server(cell)
    cloud.conf.set_override("reclaim_instance_interval", interval)
    assert client.get(protection(server.uuid)).json == {"deletion_protection": False}
    for _ in range(2):
        answer = client.put(protection(server.uuid), {"deletion_protection": True})
        assert (answer.status_code, answer.json) == (200, {"deletion_protection": True})
    assert client.get(protection(server.uuid)).json == {"deletion_protection": True}
    for who in (client, admin):
        refused = who.delete(f"/servers/{server.uuid}")
        assert refused.status_code == 409
        assert protection(server.uuid) in refused.json["conflictingRequest"]["message"]
        assert who.post(f"/servers/{server.uuid}/action", {"forceDelete": None}).status_code == 409
    shown = client.get(f"/servers/{server.uuid}").json["server"]
    assert shown["OS-EXT-STS:task_state"] != "deleting"
    assert client.put(protection(server.uuid), {"deletion_protection": False}).status_code == 200
    assert client.delete(f"/servers/{server.uuid}").status_code == 204


def test_a_cell_that_does_not_answer_changes_nothing(cloud: Cloud, client: Client) -> None:
    """What protects servers is above cells; what asks for them first is not."""
    near, far = cloud.add_server(CELL1), cloud.add_server(CELL2)
    for server in (near, far):
        assert client.put(protection(server.uuid), {"deletion_protection": True}).status_code == 200
    cloud.silence_cell(CELL2)
    assert client.delete(f"/servers/{near.uuid}").status_code == 409
    for protects in (True, False):
        assert client.put(protection(far.uuid), {"deletion_protection": protects}).status_code == 503
    assert client.delete(f"/servers/{far.uuid}").status_code == 503
    assert client.post(f"/servers/{far.uuid}/action", {"forceDelete": None}).status_code == 503
    rows = cloud.rows(cloud.api_db, InstanceMappingRow)
    assert {(row.instance_uuid, row.deletion_protected, row.queued_for_delete) for row in rows} == {
        (server.uuid, True, False) for server in (near, far)
    }


def test_who_did_it_is_among_the_actions(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL1, host="h1")
    client.put(protection(server.uuid), {"deletion_protection": True})
    client.put(protection(server.uuid), {"deletion_protection": False})
    assert actions(client, server.uuid) == ["unprotect", "protect"]


def test_servers_are_made_protected(cloud: Cloud, client: Client) -> None:
    asked = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID, "networks": "none", "min_count": 2, "max_count": 2}
    made = client.post("/servers", {"server": {**asked, "deletion_protection": True}})
    assert made.status_code == 202
    servers = [each["id"] for each in client.get("/servers").json["servers"]]
    assert len(servers) == 2
    for server_id in servers:
        assert client.get(protection(server_id)).json == {"deletion_protection": True}
        assert client.delete(f"/servers/{server_id}").status_code == 409
    assert "deletion_protection" not in client.get(f"/servers/{servers[0]}").json["server"]


def test_everything_else_works(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", vm_state=VmState.ACTIVE)
    client.put(protection(server.uuid), {"deletion_protection": True})
    assert client.post(f"/servers/{server.uuid}/action", {"os-stop": None}).status_code == 202


def test_what_is_deleted_cannot_be_protected(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", vm_state=VmState.SOFT_DELETED)
    with cloud.api_db.writer() as session:
        mappings.queue_for_delete(session, server.uuid)
    assert client.put(protection(server.uuid), {"deletion_protection": True}).status_code == 409
    assert client.get(protection(server.uuid)).json == {"deletion_protection": False}


def test_what_is_being_restored_cannot_be_protected(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", vm_state=VmState.SOFT_DELETED, task_state=TaskState.RESTORING)
    assert client.put(protection(server.uuid), {"deletion_protection": True}).status_code == 409


def test_a_locked_server_stays_as_it_is(cloud: Cloud, client: Client, admin: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", is_locked=True)
    assert client.put(protection(server.uuid), {"deletion_protection": True}).status_code == 409
    assert admin.put(protection(server.uuid), {"deletion_protection": True}).status_code == 200


@pytest.mark.parametrize("body", [{}, {"deletion_protection": "yes"}, {"deletion_protection": None}, {"enabled": True}])
def test_a_bad_body_is_refused(cloud: Cloud, client: Client, body: object) -> None:
    server = cloud.add_server()
    assert client.put(protection(server.uuid), body).status_code == 400


def test_servers_of_others_are_not_there(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(project_id="guest")
    assert client.get(protection(server.uuid)).status_code == 404
    assert client.put(protection(server.uuid), {"deletion_protection": True}).status_code == 404
