"""What was done to a server."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.cell_tables import CellWorkflowRow, InstanceActionRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, mappings
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Status
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.factories import NOON


def _do(
    cloud: Cloud,
    server: Instance,
    number: int,
    *,
    error: str | None = None,
    traceback: str | None = None,
    cell_uuid: str = CELL1,
) -> str:
    """Record one action as a conductor would, an hour later each, and return its request id."""
    request_id = f"req-00000000-0000-4000-8000-{number:012}"
    begun = NOON + timedelta(hours=number)
    with cloud.cells.get(cell_uuid).db.writer() as session:
        actions.begin(
            session,
            instance_uuid=server.uuid,
            action="reboot",
            request_id=request_id,
            user_id="alice",
            project_id="demo",
            event="compute_reboot_instance",
        )
        actions.finish(
            session, instance_uuid=server.uuid, request_id=request_id, error=error, host="h1", traceback=traceback
        )
        session.execute(
            sa.update(InstanceActionRow)
            .where(InstanceActionRow.request_id == request_id)
            .values(start_time=begun, updated_at=begun)
        )
    return request_id


def _requests(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [int(action["request_id"][-12:]) for action in answer.json["instanceActions"]]


def _event(caller: Client, server: Instance, request_id: str) -> dict[str, Any]:
    action = caller.get(f"/servers/{server.uuid}/os-instance-actions/{request_id}").json["instanceAction"]
    (event,) = action["events"]
    return dict(event)


def test_actions_are_told_newest_first_and_outlive_the_server(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server()
    url = f"/servers/{server.uuid}/os-instance-actions"
    assert client.get(url).json == {"instanceActions": []}
    for number in (1, 2):
        _do(cloud, server, number)
    listed = client.get(url)
    assert _requests(listed) == [2, 1]
    assert listed.json["instanceActions"][1] == {
        "action": "reboot",
        "instance_uuid": server.uuid,
        "request_id": "req-00000000-0000-4000-8000-000000000001",
        "user_id": "alice",
        "project_id": "demo",
        "start_time": "2026-01-02T13:00:00.000000",
        "updated_at": "2026-01-02T13:00:00.000000",
        "message": None,
    }
    with cloud.cells.get(CELL1).db.writer() as session:
        instances.mark_deleted(session, server.uuid)
    with cloud.api_db.writer() as session:
        mappings.queue_for_delete(session, server.uuid)
    assert _requests(client.get(url)) == [2, 1]
    old = cloud.client(version="2.20")
    assert old.get(url).status_code == 404
    assert old.get(f"{url}/req-00000000-0000-4000-8000-000000000001").status_code == 404


def test_a_failure_tells_users_little_and_administrators_all(cloud: Cloud, client: Client, admin: Client) -> None:
    server = cloud.add_server()
    request_id = _do(cloud, server, 1, error="the guest did not answer", traceback="Traceback: …")
    shown = client.get(f"/servers/{server.uuid}/os-instance-actions/{request_id}").json["instanceAction"]
    assert shown["message"] == "Error"
    seen = _event(client, server, request_id)
    assert seen.keys() == {"event", "start_time", "finish_time", "result", "hostId"}
    assert (seen["event"], seen["result"]) == ("compute_reboot_instance", "Error")
    assert len(seen["hostId"]) == 56
    more = _event(admin, server, request_id)
    assert more.keys() - seen.keys() == {"host", "traceback", "details"}
    assert (more["host"], more["traceback"]) == ("h1", "Traceback: …")
    assert more["details"] == "the guest did not answer"


@pytest.mark.parametrize(
    ("version", "user_sees", "admin_sees"),
    [
        ("2.50", None, {"traceback"}),
        ("2.51", set(), {"traceback"}),
        ("2.62", {"hostId"}, {"traceback", "hostId", "host"}),
        ("2.84", {"hostId"}, {"traceback", "hostId", "host", "details"}),
    ],
)
def test_events_by_version(cloud: Cloud, version: str, user_sees: set[str] | None, admin_sees: set[str]) -> None:
    server = cloud.add_server()
    url = f"/servers/{server.uuid}/os-instance-actions/{_do(cloud, server, 1)}"
    common = {"event", "start_time", "finish_time", "result"}
    user = cloud.client(version=version).get(url).json["instanceAction"]
    if user_sees is None:
        assert "events" not in user
    else:
        assert user["events"][0].keys() == common | user_sees
    administrator = cloud.client("admin:admins", version).get(url).json["instanceAction"]
    assert administrator["events"][0].keys() == common | admin_sees
    assert ("updated_at" in user) is (version not in ("2.50", "2.51"))


def test_pages_and_times(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server()
    for number in range(1, 6):
        _do(cloud, server, number)
    base = f"/servers/{server.uuid}/os-instance-actions"
    seen: list[int] = []
    url: str | None = f"{base}?limit=2"
    while url is not None:
        page = client.get(url)
        seen += _requests(page)
        following = page.json.get("links")
        url = None if following is None else following[0]["href"].partition("/v2.1")[2]
    assert seen == [5, 4, 3, 2, 1]
    assert _requests(client.get(base, **{"changes-since": _hour(4)})) == [5, 4]
    assert _requests(client.get(base, **{"changes-before": _hour(2)})) == [2, 1]
    assert _requests(client.get(base, **{"changes-since": _hour(2), "changes-before": _hour(3)})) == [3, 2]
    assert _requests(cloud.client(version="2.57").get(f"{base}?limit=2&color=red")) == [5, 4, 3, 2, 1]
    with cloud.counted() as statements:
        client.get(f"{base}?limit=2")
    assert len(statements) == 2


def _hour(number: int) -> str:
    moment: datetime = NOON + timedelta(hours=number)
    return f"{moment.isoformat()}Z"


def test_a_server_without_a_cell_has_had_nothing_done(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(None)
    url = f"/servers/{server.uuid}/os-instance-actions"
    assert client.get(url).json == {"instanceActions": []}
    assert client.get(f"{url}/req-1").status_code == 404

    assert client.get(f"{url}?marker=req-1").status_code == 400
    assert client.get(f"{url}?limit=1").json == {"instanceActions": []}
    assert cloud.client("eve:evil").get(url).status_code == 404


def test_a_server_that_found_no_host_has_its_actions_too(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL0_UUID, vm_state=VmState.ERROR)
    request_id = _do(cloud, server, 1, error="No valid host was found.", cell_uuid=CELL0_UUID)
    url = f"/servers/{server.uuid}/os-instance-actions"
    assert _requests(client.get(url)) == [1]
    assert _event(client, server, request_id)["result"] == "Error"
    cloud.silence_cell(CELL1)
    assert _requests(client.get(url)) == [1]


def test_while_its_cell_does_not_answer_nobody_knows(cloud: Cloud, client: Client) -> None:
    server, other = cloud.add_server(CELL1), cloud.add_server(CELL2)
    cloud.silence_cell(CELL1)
    for path in ("", "/req-1", "?limit=1"):
        answer = client.get(f"/servers/{server.uuid}/os-instance-actions{path}")
        assert answer.status_code == 503
        assert "cell" in answer.json["serviceUnavailable"]["message"]
    assert client.get(f"/servers/{other.uuid}/os-instance-actions").json == {"instanceActions": []}


def test_servers_of_others_do_not_exist(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server()
    request_id = _do(cloud, server, 1)
    stranger = cloud.client("eve:evil")
    url = f"/servers/{server.uuid}/os-instance-actions"
    for path in (url, f"{url}/{request_id}"):
        assert stranger.get(path).status_code == 404
        assert admin.get(path).status_code == 200
    for unknown in ("x", CELL1):
        assert admin.get(f"/servers/{unknown}/os-instance-actions").status_code == 404
    assert admin.get(f"/servers/{server.uuid}/os-instance-actions/req-2").status_code == 404


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("marker=req-9", "marker"),
        ("marker=", "marker"),
        ("changes-since=2026-01-01&changes-since=2026-01-01", "changes-since"),
        ("changes-since=yesterday", "changes-since"),
        ("changes-before=", "changes-before"),
        ("changes-since=2026-01-02&changes-before=2026-01-01", "changes-since"),
        ("color=red", "color"),
    ],
)
def test_bad_queries_name_the_parameter(cloud: Cloud, client: Client, query: str, named: str) -> None:
    server = cloud.add_server()
    answer = client.get(f"/servers/{server.uuid}/os-instance-actions?{query}")
    assert answer.status_code == 400
    assert named in answer.json["badRequest"]["message"]


def test_an_event_under_way_tells_how_far_it_is(cloud: Cloud, client: Client, admin: Client) -> None:
    server = cloud.add_server(CELL1, host="h1")
    answer = client.post(f"/servers/{server.uuid}/action", {"os-stop": None})
    request_id = answer.headers["x-openstack-request-id"]
    event = _event(admin, server, request_id)
    told = re.fullmatch(r"Step 1 of 2: power off, attempt 0\. 0 % done\. Expires at (\S+)Z\.", event["details"])
    assert told is not None, event
    assert datetime.fromisoformat(told[1]) > utcnow()
    assert "details" not in _event(client, server, request_id)
    assert "details" not in _event(cloud.client("admin:admins", "2.83"), server, request_id)
    _run(cloud, server, status=Status.UNDOING, reason="No power.")
    assert _event(admin, server, request_id)["details"].endswith("Z. Being undone: No power.")
    _run(cloud, server, status=Status.FAILED, reason="No power.")
    with cloud.cells.get(CELL1).db.writer() as session:
        actions.finish(session, instance_uuid=server.uuid, request_id=request_id, error="No power.", host="h1")
    assert _event(admin, server, request_id)["details"] == "No power."


def _run(cloud: Cloud, server: Instance, **values: Any) -> None:
    with cloud.cells.get(CELL1).db.writer() as session:
        session.execute(sa.update(CellWorkflowRow).where(CellWorkflowRow.subject == server.uuid).values(**values))
