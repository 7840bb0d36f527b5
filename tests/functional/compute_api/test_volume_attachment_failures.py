"""``/servers/{id}/os-volume_attachments`` where block storage refuses, fails or is not there: nothing is half done."""

from pathlib import Path
from typing import Any

import pytest

from nova_lite import config
from nova_lite.cells import volumes as marks
from nova_lite.clients.volumes import Volumes
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, workflows
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.states import TaskState
from nova_lite.testing.block_storage import BlockStorage, Fault
from tests.functional.compute_api.attached_volumes import (
    NOBODY,
    attach,
    attachments,
    device,
    devices,
    message,
    path,
    server,
    status,
    work,
)
from tests.functional.compute_api.cloud import CELL1, Client, Cloud
from tests.functional.compute_api.stored_volumes import volume


@pytest.fixture
def cloud(volume_cloud: Cloud) -> Cloud:
    return volume_cloud


def test_without_an_answer_nothing_changes(cloud: Cloud, client: Client, storage: BlockStorage) -> None:
    volume_id, held = volume(storage), volume(storage, status="in-use")
    instance = server(cloud, volumes=(device(held),))
    storage.faults.add(Fault("GET", "/volumes/", status=503, times=2))
    assert attach(client, instance, volume_id).status_code == 503
    assert client.delete(path(instance, held)).status_code == 503
    assert [found.phase for found in devices(cloud, instance)] == [Phase.ATTACHED]
    assert (status(storage, volume_id), work(cloud)) == ("available", [])
    assert client.get(path(instance)).status_code == 200


@pytest.mark.parametrize("code", [400, 403, 404, 409, 413])
def test_a_refusal_leaves_nothing(cloud: Cloud, client: Client, storage: BlockStorage, code: int) -> None:
    """The volume was fine when it was looked at, and is not when it is reserved."""
    instance, volume_id = server(cloud), volume(storage)
    storage.faults.add(Fault("POST", "/attachments$", status=code))
    assert attach(client, instance, volume_id).status_code == {413: 403}.get(code, code)
    assert devices(cloud, instance) == ()
    assert "pending" not in {state for _, state in work(cloud)}
    assert attach(client, instance, volume_id).status_code == 202


@pytest.mark.parametrize("code", [400, 403, 409])
def test_a_volume_that_may_not_go_stays(cloud: Cloud, client: Client, storage: BlockStorage, code: int) -> None:
    """It was fine when it was looked at; nothing tells of the attempt."""
    volume_id = volume(storage, status="in-use", attach_status="attached")
    instance = server(cloud, volumes=(device(volume_id),))
    storage.faults.add(Fault("POST", "/volumes/.*/action$", status=code))
    assert client.delete(path(instance, volume_id)).status_code == code
    assert (devices(cloud, instance)[0].phase, status(storage, volume_id)) == (Phase.ATTACHED, "in-use")
    assert work(cloud) == [("detach-volume", "superseded")]
    assert client.get(f"/servers/{instance.uuid}/os-instance-actions").json["instanceActions"] == []
    assert client.delete(path(instance, volume_id)).status_code == 202


@pytest.mark.parametrize("after_work", [True, False], ids=["shown", "not shown"])
@pytest.mark.parametrize("code", [404, 503])
def test_whether_a_volume_shows_that_it_goes_is_left_to_a_conductor(
    cloud: Cloud, client: Client, storage: BlockStorage, code: int, after_work: bool
) -> None:
    volume_id = volume(storage, status="in-use", attach_status="attached")
    instance = server(cloud, volumes=(device(volume_id),))
    storage.faults.add(Fault("POST", "/volumes/.*/action$", status=code, after_work=after_work))
    assert client.delete(path(instance, volume_id)).status_code == 202
    assert devices(cloud, instance)[0].phase is Phase.DETACHING
    with cloud.cells.get(CELL1).db.reader() as session:
        (begun,) = workflows.claimable(session, CellWorkflowRow, limit=9)
        found = workflows.get(session, CellWorkflowRow, begun)
    assert found is not None
    assert (found.kind, found.facts) == ("detach-volume", {})


@pytest.mark.parametrize("after_work", [True, False], ids=["reserved", "not reserved"])
def test_a_lost_answer_is_left_to_a_conductor(
    cloud: Cloud, client: Client, storage: BlockStorage, after_work: bool
) -> None:
    instance, volume_id = server(cloud), volume(storage)
    storage.faults.add(Fault("POST", "/attachments$", after_work=after_work))
    answer = attach(client, instance, volume_id)
    assert answer.status_code == 503
    [left] = devices(cloud, instance)
    assert (left.phase, left.attachment_id) == (Phase.RESERVING, None)
    assert work(cloud) == [("attach-volume", "pending")]
    assert len(attachments(storage, volume_id)) == after_work


def test_a_reservation_that_nobody_waits_for_is_given_back(
    cloud: Cloud, client: Client, storage: BlockStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes while its volume is being reserved."""
    instance, volume_id = server(cloud), volume(storage)
    begin = marks.begin_attach

    def begun(session: Any, uuid: str, *more: Any, **rest: Any) -> BlockDevice:
        found = begin(session, uuid, *more, **rest)
        instances.change(session, uuid, task_state=TaskState.DELETING)
        return found

    monkeypatch.setattr(marks, "begin_attach", begun)
    answer = attach(client, instance, volume_id)
    assert (answer.status_code, "does not wait" in message(answer)) == (409, True)
    assert (status(storage, volume_id), attachments(storage, volume_id)) == ("available", [])


def test_a_service_that_is_too_old_or_not_there(tmp_path: Path) -> None:
    nowhere = Cloud(tmp_path, volumes=Volumes(config.load(files=[])))
    try:
        instance = nowhere.add_server(CELL1, host="h1")
        answer = attach(nowhere.client(), instance, NOBODY)
        assert (answer.status_code, "no block storage service" in message(answer)) == (501, True)
        assert nowhere.client().get(path(instance)).status_code == 200
    finally:
        nowhere.close()
