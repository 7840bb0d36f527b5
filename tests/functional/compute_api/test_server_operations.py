"""What is being done to a server, and what was done: step by step, until when, and why it failed."""

import uuid as uuids
from typing import Any

import pytest

from nova_lite.cells import moves, operations
from nova_lite.cells.operations import Requester
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.model.instance import Instance
from nova_lite.model.migration import MigrationKind, Place, Progress
from nova_lite.model.workflow import Status, Workflow
from tests.functional.compute_api.cloud import CELL1, Client, Cloud

_ALICE = Requester("alice", "demo", "req-1")


def run(cloud: Cloud, uuid: str, *, above: bool = False, **progress: Any) -> None:
    """Have a conductor hold a workflow, and be as far as ``progress`` says."""
    row = ApiWorkflowRow if above else CellWorkflowRow
    db = cloud.api_db if above else cloud.cells.get(CELL1).db
    with db.writer() as session:
        assert workflows.claim(session, row, uuid, owner="me", lease_s=60)
        assert workflows.record(session, row, uuid, "me", expect_step=0, **progress)


def begin(cloud: Cloud, server: Instance, action: str, request_id: str = "req-1") -> str:
    with cloud.cells.get(CELL1).db.writer() as session:
        requester = Requester("alice", "demo", request_id)
        return operations.begin(session, server.uuid, action, requester, timeout_s=600).uuid


def shown(caller: Client, server: Instance, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get(f"/servers/{server.uuid}/operations", **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["operations"]
    return found


def test_an_operation_from_its_beginning_to_its_end(cloud: Cloud, client: Client, admin: Client) -> None:
    server = cloud.add_server(host="h1", node="n1")
    uuid = begin(cloud, server, "stop")
    (found,) = shown(client, server)
    assert found.pop("started_at") < found["expires_at"]
    assert found.pop("expires_at")
    assert found == {
        "id": uuid,
        "action": "stop",
        "request_id": "req-1",
        "user_id": "alice",
        "project_id": "demo",
        "state": "pending",
        "step": {"number": 1, "of": 2, "name": "power off", "attempts": 0},
        "progress": 0,
        "reason": None,
        "updated_at": None,
        "finished_at": None,
    }
    assert shown(admin, server)[0]["host"] == "h1"
    run(cloud, uuid, step=1)
    answer = client.get(f"/servers/{server.uuid}/operations/{uuid}")
    assert answer.json["operation"]["steps"] == ["power off", "mark done"]
    assert answer.json["operation"]["step"] == {"number": 2, "of": 2, "name": "mark done", "attempts": 1}
    with cloud.cells.get(CELL1).db.writer() as session:
        workflows.record(session, CellWorkflowRow, uuid, "me", expect_step=1, status=Status.FAILED, reason="No power.")
        actions.finish(session, instance_uuid=server.uuid, request_id="req-1", error="No power.", host="h1")
    (found,) = shown(client, server)
    assert (found["state"], found["reason"], found["step"], found["progress"]) == ("failed", "No power.", None, None)
    assert found["finished_at"] == found["updated_at"] is not None
    assert shown(admin, server)[0]["host"] == "h1"
    assert "h1" not in str(shown(client, server))
    assert shown(cloud.client(version="2.1"), server) == [found]


def test_what_leads_a_move_and_its_part_in_the_cell_are_one(cloud: Cloud, client: Client, admin: Client) -> None:
    server = cloud.add_server(host="h1", node="n1", node_name="n1")
    assert client.post(f"/servers/{server.uuid}/action", {"resize": {"flavorRef": "2"}}).status_code == 202
    (found,) = shown(client, server)
    assert (found["action"], found["state"], found["step"]["of"]) == ("resize", "pending", 12)
    with cloud.api_db.reader() as session:
        above = workflows.get(session, ApiWorkflowRow, found["id"])
    assert above is not None
    run(cloud, above.uuid, above=True, step=3)
    below = Workflow(
        uuid=moves.workflow_uuid(above.uuid, moves.MOVE),
        kind=moves.MOVE,
        subject=server.uuid,
        project_id="demo",
        user_id="alice",
        request_id=above.request_id,
        inputs={},
        deadline=0.0,
    )
    with cloud.cells.get(CELL1).db.writer() as session:
        workflows.add(session, CellWorkflowRow, below, timeout_s=600)
    run(cloud, below.uuid, step=6)
    (found,) = shown(admin, server)
    assert found["id"] == above.uuid
    assert found["step"] == {"number": 7, "of": 12, "name": "set guest aside", "attempts": 1}
    assert found["host"] == "h1"


def test_data_of_a_guest_that_moves_is_counted(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(host="h1", node="n1")
    uuid = begin(cloud, server, "stop")
    assert shown(admin, server)[0]["progress"] == 0
    cloud.add_migration(
        server,
        uuid=uuid,
        kind=MigrationKind.LIVE,
        status="running",
        dest=Place("h2", "n2", "n2"),
        progress=Progress(memory_total=200, memory_processed=100, memory_remaining=100),
    )
    (found,) = shown(admin, server)
    assert (found["progress"], found["host"]) == (25, "h2")


def test_they_come_in_pages_newest_first(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(host="h1", node="n1")
    made = []
    for number in range(5):
        made.append(begin(cloud, server, "stop", f"req-{number}"))
        with cloud.cells.get(CELL1).db.writer() as session:
            workflows.supersede(session, CellWorkflowRow, server.uuid)
            instances.change(session, server.uuid, task_state=None)
    made.reverse()
    answer = client.get(f"/servers/{server.uuid}/operations", limit=2)
    assert [each["id"] for each in answer.json["operations"]] == made[:2]
    (link,) = answer.json["operations_links"]
    assert f"marker={made[1]}" in link["href"]
    assert [each["id"] for each in shown(client, server, limit=3, marker=made[1])] == made[2:]
    assert shown(client, server, marker=made[-1]) == []
    assert shown(client, server, limit=0) == []


def test_a_server_that_waits_for_its_host_shows_the_search(cloud: Cloud, client: Client) -> None:
    body = {"server": {"name": "vm", "flavorRef": "1", "imageRef": _image(cloud), "networks": "none"}}
    answer = client.post("/servers", body)
    assert answer.status_code == 202, answer.text
    server = answer.json["server"]["id"]
    (found,) = client.get(f"/servers/{server}/operations").json["operations"]
    assert (found["action"], found["state"]) == ("create", "pending")
    assert found["step"] == {"number": 1, "of": 7, "name": "choose hosts", "attempts": 0}


def test_a_move_that_its_cell_refused_never_was(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(host="h1", node="n1", node_name="n1")
    begin(cloud, server, "stop")
    assert client.post(f"/servers/{server.uuid}/action", {"resize": {"flavorRef": "2"}}).status_code == 409
    assert [each["action"] for each in shown(client, server)] == ["stop"]


def test_what_was_done_is_told_of_servers_that_are_gone(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(host="h1", node="n1")
    assert client.delete(f"/servers/{server.uuid}").status_code == 204
    with cloud.cells.get(CELL1).db.writer() as session:
        instances.mark_deleted(session, server.uuid)
    (found,) = shown(client, server)
    assert found["action"] == "delete"


def test_who_may_not_see_a_server_does_not_see_what_is_done_to_it(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(host="h1", node="n1")
    uuid = begin(cloud, server, "stop")
    others = cloud.client("bob:others")
    for path in (f"/servers/{server.uuid}/operations", f"/servers/{server.uuid}/operations/{uuid}"):
        assert others.get(path).status_code == 404
    assert client.get(f"/servers/{uuids.uuid4()}/operations").status_code == 404
    assert client.get("/servers/nonsense/operations").status_code == 404
    assert client.get(f"/servers/{server.uuid}/operations/{uuids.uuid4()}").status_code == 404
    assert client.get(f"/servers/{server.uuid}/operations/nonsense").status_code == 404


@pytest.mark.parametrize(
    "query", [{"limit": "x"}, {"limit": "-1"}, {"marker": "nobody"}, {"marker": ""}, {"sort": "1"}]
)
def test_bad_pages_are_refused(cloud: Cloud, client: Client, query: dict[str, str]) -> None:
    server = cloud.add_server(host="h1", node="n1")
    assert client.get(f"/servers/{server.uuid}/operations", **query).status_code == 400


def test_a_silent_cell_is_told(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(host="h1", node="n1")
    cloud.break_cell(CELL1)
    assert client.get(f"/servers/{server.uuid}/operations").status_code == 503


def _image(cloud: Cloud) -> str:
    return next(iter(cloud.images.images))
