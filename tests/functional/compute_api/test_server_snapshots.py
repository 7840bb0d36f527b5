"""``createImage`` and ``createBackup``: what is asked of the image service and of the cell."""

from typing import Any

import pytest

from nova_lite import errors
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances
from nova_lite.model.states import TaskState, VmState
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud


def body(action: str, **more: object) -> dict[str, Any]:
    """Return a body that asks for an image called ``snap``."""
    backup = {"backup_type": "daily", "rotation": 2} if action == "createBackup" else {}
    return {action: {"name": "snap", **backup, **more}}


def workflow(cloud: Cloud, uuid: str) -> Any:
    with cloud.cells.get(CELL1).db.reader() as session:
        (row,) = session.query(CellWorkflowRow).filter_by(subject=uuid)
        return row.kind, row.inputs


@pytest.mark.parametrize("action", ["createImage", "createBackup"])
def test_an_image_waits_for_the_disk(cloud: Cloud, action: str) -> None:
    server = cloud.add_server(
        vm_state=VmState.ACTIVE, host="host1", image_properties={"hw_disk_bus": "scsi", "img_signature": "x"}
    )
    asked = body(action, metadata={"colour": "blue", "instance_uuid": "forged", "image_type": "golden"})
    answer = cloud.client().post(f"/servers/{server.uuid}/action", asked)
    assert answer.status_code == 202
    image_id = answer.json["image_id"]
    image = cloud.images.images[image_id]
    assert (image.name, image.status, image.min_disk_gib) == ("snap", "queued", server.flavor.root_gib)
    assert image.properties["colour"] == "blue"
    assert image.properties["hw_disk_bus"] == "scsi"
    assert "img_signature" not in image.properties
    assert (image.properties["instance_uuid"], image.properties["base_image_ref"]) == (server.uuid, IMAGE_ID)
    kind, inputs = workflow(cloud, server.uuid)
    if action == "createImage":
        assert (kind, inputs) == ("snapshot", {"image": image_id})
        assert image.properties["image_type"] == "golden"
    else:
        assert (kind, inputs) == ("backup", {"image": image_id, "backup_type": "daily", "rotation": 2})
        assert (image.properties["image_type"], image.properties["backup_type"]) == ("backup", "daily")
    task = TaskState.IMAGE_SNAPSHOT if kind == "snapshot" else TaskState.IMAGE_BACKUP
    assert cloud.instance(server.uuid).task_state is task
    (told,) = cloud.client().get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert told["action"] == action


@pytest.mark.parametrize(
    ("action", "more", "has_location"),
    [
        pytest.param("createImage", {}, True, id="image"),
        pytest.param("createBackup", {"rotation": 1}, True, id="backup"),
        pytest.param("createBackup", {"rotation": 0}, False, id="backup that is not kept"),
    ],
)
def test_before_2_45_the_image_is_in_the_location(
    cloud: Cloud, action: str, more: dict[str, Any], has_location: bool
) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="host1")
    answer = cloud.client(version="2.44").post(f"/servers/{server.uuid}/action", body(action, **more))
    assert (answer.status_code, answer.text) == (202, "")
    (image_id,) = [image for image in cloud.images.images.values() if image.name == "snap"]
    if has_location:
        assert answer.headers["Location"].endswith(f"/images/{image_id.id}")
    else:
        assert "Location" not in answer.headers


@pytest.mark.parametrize("action", ["createImage", "createBackup"])
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"name": ""}, id="no name"),
        pytest.param({"name": "x" * 256}, id="long name"),
        pytest.param({"name": None}, id="name of nothing"),
        pytest.param({"metadata": {"a": 1}}, id="number in metadata"),
        pytest.param({"metadata": {"a": "x" * 256}}, id="long metadata"),
        pytest.param({"more": 1}, id="unknown field"),
    ],
)
def test_bad_bodies_make_no_image(cloud: Cloud, action: str, wrong: dict[str, Any]) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="host1")
    known = dict(cloud.images.images)
    assert cloud.client().post(f"/servers/{server.uuid}/action", body(action, **wrong)).status_code == 400
    assert cloud.images.images == known
    assert cloud.instance(server.uuid).task_state is None


@pytest.mark.parametrize("rotation", [-1, "x", None, 1.5, 2**31])
def test_bad_rotations_are_refused(cloud: Cloud, rotation: object) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="host1")
    asked = body("createBackup", rotation=rotation)
    assert cloud.client().post(f"/servers/{server.uuid}/action", asked).status_code == 400


def test_too_much_metadata_is_403(cloud: Cloud) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="host1")
    asked = body("createImage", metadata={f"key{number}": "x" for number in range(129)})
    assert cloud.client(version="2.38").post(f"/servers/{server.uuid}/action", asked).status_code == 403


@pytest.mark.parametrize("action", ["createImage", "createBackup"])
@pytest.mark.parametrize("state", sorted(set(VmState) - {VmState.DELETED}))
def test_only_disks_at_hand_are_copied(cloud: Cloud, action: str, state: VmState) -> None:
    server = cloud.add_server(vm_state=state, host="host1")
    answer = cloud.client().post(f"/servers/{server.uuid}/action", body(action))
    may = state in (VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED)
    assert answer.status_code == (202 if may else 409), answer.text
    if not may:
        assert f"Cannot '{action}'" in answer.text
        assert "snap" not in [image.name for image in cloud.images.images.values()]


def test_the_loser_of_a_race_removes_its_image(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="host1")
    create = cloud.images.create

    def overtaken(*args: Any) -> Any:
        with cloud.cells.get(CELL1).db.writer() as session:
            instances.change(session, server.uuid, task_state=TaskState.POWERING_OFF)
        return create(*args)

    monkeypatch.setattr(cloud.images, "create", overtaken)
    assert cloud.client().post(f"/servers/{server.uuid}/action", body("createImage")).status_code == 409
    assert "snap" not in [image.name for image in cloud.images.images.values()]


@pytest.mark.parametrize(
    ("error", "status"), [(errors.Forbidden("Over your limit."), 403), (errors.Unavailable("Nobody answers."), 503)]
)
def test_what_the_image_service_says_is_told(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    server = cloud.add_server(vm_state=VmState.ACTIVE, host="host1")

    def refuse(*args: object) -> None:
        raise error

    monkeypatch.setattr(cloud.images, "create", refuse)
    assert cloud.client().post(f"/servers/{server.uuid}/action", body("createImage")).status_code == status
    assert cloud.instance(server.uuid).task_state is None
