"""``/os-server-external-events``: taken or refused one by one; a volume that has grown has work begun."""

import uuid as uuids
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Workflow
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud

NOBODY = "99999999-9999-4999-8999-999999999999"
VOLUME = str(uuids.uuid4())
_DEVICE = BlockDevice(str(uuids.uuid4()), VOLUME, "/dev/vdb", str(uuids.uuid4()))


def tell(caller: Client, *events: dict[str, Any]) -> Any:
    return caller.post("/os-server-external-events", {"events": list(events)})


def event(server: str, name: str = "network-changed", **more: Any) -> dict[str, Any]:
    return {"name": name, "server_uuid": server, **more}


def work(cloud: Cloud) -> list[str]:
    with cloud.cells.get(CELL1).db.reader() as session:
        return list(session.scalars(sa.select(CellWorkflowRow.kind)))


def test_a_volume_that_has_grown_has_work_begun(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", volumes=(_DEVICE,)).uuid
    told = event(server, "volume-extended", tag=VOLUME)
    answer = tell(admin, told)
    assert (answer.status_code, answer.json) == (200, {"events": [{**told, "status": "completed", "code": 200}]})
    assert work(cloud) == ["extend-volume"]
    actions = admin.get(f"/servers/{server}/os-instance-actions").json["instanceActions"]
    assert [action["action"] for action in actions] == ["extend_volume"]


def test_each_event_is_judged_by_itself(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", volumes=(_DEVICE,)).uuid
    offloaded = cloud.add_server(CELL1, vm_state=VmState.SHELVED_OFFLOADED).uuid
    failed = cloud.add_server(CELL0_UUID, vm_state=VmState.ERROR).uuid
    waiting = cloud.add_server(None, vm_state=VmState.BUILDING).uuid
    answer = tell(
        admin,
        event(server, status="in-progress"),
        event(NOBODY),
        event(server, "volume-extended"),
        event(server, "volume-extended", tag=NOBODY),
        event(server, "volume-extended", tag=""),
        event(offloaded),
        event(failed),
        event(waiting),
        event(server, "power-update", tag="POWER_OFF"),
    )
    assert answer.status_code == 207
    found = answer.json["events"]
    assert [each["code"] for each in found] == [200, 404, 400, 404, 404, 422, 422, 422, 200]
    assert [each["status"] for each in found] == ["completed" if each["code"] == 200 else "failed" for each in found]
    assert work(cloud) == []


def test_a_volume_that_was_filled_anew_is_looked_at_now(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", volumes=(_DEVICE,)).uuid
    waiting = [Workflow(str(uuids.uuid4()), kind, server, "p", "u", "req", {}, 0.0) for kind in ("reimage", "stop")]
    db = cloud.cells.get(CELL1).db
    with db.writer() as session:
        for each in waiting:
            workflows.add(session, CellWorkflowRow, each, timeout_s=60)
            workflows.hold_back(session, CellWorkflowRow, each.uuid, delay_s=3600)
    answer = tell(admin, event(server, "volume-reimaged", tag=VOLUME))
    assert (answer.status_code, answer.json["events"][0]["code"]) == (200, 200)
    with db.reader() as session:
        assert workflows.claimable(session, CellWorkflowRow, limit=9) == [waiting[0].uuid]


@pytest.mark.parametrize(
    ("name", "since"),
    [("volume-extended", 51), ("power-update", 76), ("accelerator-request-bound", 82), ("volume-reimaged", 93)],
)
def test_versions_know_more_and_more(cloud: Cloud, name: str, since: int) -> None:
    server = cloud.add_server(CELL1, host="h1", volumes=(_DEVICE,)).uuid
    told = event(server, name, tag=VOLUME)
    assert tell(cloud.client("admin:admins", f"2.{since - 1}"), told).status_code == 400
    assert tell(cloud.client("admin:admins", f"2.{since}"), told).status_code == 200


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="none"),
        pytest.param([{}], id="empty"),
        pytest.param([{"name": "x", "server_uuid": NOBODY}], id="unknown"),
        pytest.param([{"name": "network-changed", "server_uuid": "x"}], id="no uuid"),
        pytest.param([{"name": "network-changed", "server_uuid": NOBODY, "status": "x"}], id="no status"),
        pytest.param([{"name": "network-changed", "server_uuid": NOBODY, "tag": "x" * 256}], id="a long tag"),
        pytest.param([{"name": "network-changed", "server_uuid": NOBODY, "more": 1}], id="more"),
    ],
)
def test_what_is_no_event(admin: Client, events: list[dict[str, Any]]) -> None:
    assert tell(admin, *events).status_code == 400


def test_only_services_tell(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL1, host="h1").uuid
    assert tell(client, event(server)).status_code == 403


def test_while_a_cell_is_silent_nothing_is_begun(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", volumes=(_DEVICE,)).uuid

    silent = cloud.add_server(CELL2, host="h2").uuid
    cloud.break_cell(CELL2)
    answer = tell(admin, event(server, "volume-extended", tag=VOLUME), event(silent))
    assert answer.status_code == 503
    assert work(cloud) == []
