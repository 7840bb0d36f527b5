"""``PUT /servers/{id}/os-volume_attachments/{id}`` with another volume: begun, or refused with words."""

import uuid as uuids
from typing import Any

import pytest

from nova_lite.embedded.volume_records import StoredAttachment
from nova_lite.model.block_device import Phase
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.testing.block_storage import BlockStorage, Fault
from tests.functional.compute_api.attached_volumes import (
    NOBODY,
    attachments,
    device,
    devices,
    message,
    path,
    server,
    work,
)
from tests.functional.compute_api.cloud import Client, Cloud
from tests.functional.compute_api.stored_volumes import volume


@pytest.fixture
def cloud(volume_cloud: Cloud) -> Cloud:
    return volume_cloud


@pytest.fixture
def held(cloud: Cloud, storage: BlockStorage) -> tuple[Instance, str, str]:
    """A server, a volume that it has and that is migrated, and the one that this is to go to."""
    old = volume(storage, status="in-use", migration_status="migrating", previous_status="in-use")
    new = volume(storage, migration_status=f"target:{old}")
    instance = server(cloud, volumes=(device(old),), project_id="demo")
    used(storage, old, instance.uuid)
    return instance, old, new


def used(storage: BlockStorage, volume_id: str, instance_uuid: str, **values: Any) -> None:
    """Have a volume be attached to a server."""
    made = StoredAttachment(str(uuids.uuid4()), volume_id, "demo", "attached", instance_uuid, **values)
    with storage.store.records.changing():
        storage.store.records.put(made)


def put(caller: Client, instance: Instance, old: str, new: str, **more: object) -> Any:
    return caller.put(path(instance, old), {"volumeAttachment": {"volumeId": new, **more}})


@pytest.mark.parametrize("version", ["2.84", "2.85"])
def test_a_volume_that_is_migrated_is_swapped(
    cloud: Cloud, storage: BlockStorage, held: tuple[Instance, str, str], version: str
) -> None:
    """Only the block storage service asks for that."""
    instance, old, new = held
    assert put(cloud.client("alice:demo", version), instance, old, new).status_code == 403
    assert put(cloud.client("mallory:others", version), instance, old, new).status_code == 404
    assert devices(cloud, instance)[0].phase is Phase.ATTACHED
    answer = put(cloud.client("admin:service", version), instance, old, new)
    assert (answer.status_code, answer.text) == (202, "")
    [found] = devices(cloud, instance)
    [attachment] = attachments(storage, new)
    assert (found.phase, found.volume_id) == (Phase.SWAPPING, old)
    assert (found.next_volume_id, found.next_attachment_id) == (new, attachment.id)
    assert (attachment.instance_uuid, attachment.status) == (instance.uuid, "reserved")
    assert work(cloud) == [("swap-volume", "pending")]
    admin = cloud.client("admin:service", version)
    assert admin.get(path(instance, old)).json["volumeAttachment"]["volumeId"] == old
    actions = admin.get(f"/servers/{instance.uuid}/os-instance-actions").json["instanceActions"]
    assert [action["action"] for action in actions] == ["swap_volume"]
    assert put(admin, instance, old, volume(storage)).status_code == 409
    assert admin.delete(path(instance, old)).status_code == 409


def test_what_is_said_of_the_attachment_is_noted_first(
    cloud: Cloud, storage: BlockStorage, held: tuple[Instance, str, str]
) -> None:
    instance, old, new = held
    admin = cloud.client("admin:service", "2.85")
    answer = put(admin, instance, old, new, device="/dev/vdz", delete_on_termination=True)
    assert (answer.status_code, "device property" in message(answer)) == (400, True)
    assert not devices(cloud, instance)[0].delete_on_termination
    assert put(admin, instance, old, new, delete_on_termination=True).status_code == 202
    [found] = devices(cloud, instance)
    assert (found.delete_on_termination, found.phase) == (True, Phase.SWAPPING)


@pytest.mark.parametrize("status", [None, "success", "error", "starting"])
def test_a_volume_that_is_not_migrated_is_not_swapped(cloud: Cloud, storage: BlockStorage, status: str | None) -> None:
    still, other = volume(storage, status="in-use", migration_status=status), volume(storage)
    instance = server(cloud, volumes=(device(still),), project_id="demo")
    answer = put(cloud.client("admin:service"), instance, still, other)
    assert (answer.status_code, "not migrating" in message(answer)) == (409, True)


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        pytest.param({"size_gib": 0}, 400, "same size or larger", id="smaller"),
        pytest.param({"status": "error"}, 400, "'available'", id="broken"),
        pytest.param({"status": "reserved"}, 400, "'available'", id="reserved"),
    ],
)
def test_a_volume_that_cannot_take_the_place(
    cloud: Cloud, storage: BlockStorage, held: tuple[Instance, str, str], values: dict[str, Any], code: int, words: str
) -> None:
    instance, old, _ = held
    admin = cloud.client("admin:service")
    answer = put(admin, instance, old, volume(storage, **values))
    assert (answer.status_code, words in message(answer)) == (code, True)
    assert (devices(cloud, instance)[0].phase, work(cloud)) == (Phase.ATTACHED, [])


def test_volumes_that_are_not_there_or_elsewhere(
    cloud: Cloud, storage: BlockStorage, held: tuple[Instance, str, str]
) -> None:
    instance, old, new = held
    attached = volume(storage, status="in-use")
    used(storage, attached, NOBODY)
    foreign = volume(storage, status="in-use", migration_status="migrating")
    used(storage, foreign, NOBODY)
    for version in ("2.84", "2.85"):
        admin = cloud.client("admin:service", version)
        assert put(admin, instance, NOBODY, new).status_code == 404
        assert put(admin, instance, old, NOBODY).status_code == 400
        assert "must be detached" in message(put(admin, instance, old, attached))
        assert put(admin, instance, foreign, new).status_code == (404 if version == "2.85" else 400)
    assert "must be detached" in message(put(cloud.client("admin:service", "2.84"), instance, old, old))
    assert work(cloud) == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"vm_state": VmState.STOPPED}, 409),
        ({"vm_state": VmState.RESIZED}, 409),
        ({"task_state": TaskState.REBOOTING}, 409),
        ({"is_locked": True}, 202),
        ({"vm_state": VmState.PAUSED}, 202),
    ],
)
def test_the_state_decides_about_swaps(cloud: Cloud, storage: BlockStorage, values: dict[str, Any], code: int) -> None:
    """An administrator may act on a locked server."""
    old = volume(storage, status="in-use", migration_status="migrating")
    instance = server(cloud, volumes=(device(old),), project_id="demo", **values)
    used(storage, old, instance.uuid)
    assert put(cloud.client("admin:service"), instance, old, volume(storage)).status_code == code


def test_a_volume_that_several_write_to_is_not_swapped(
    cloud: Cloud, storage: BlockStorage, held: tuple[Instance, str, str]
) -> None:
    instance, old, new = held
    admin = cloud.client("admin:service")
    used(storage, old, NOBODY, mode="rw")
    answer = put(admin, instance, old, new)
    assert (answer.status_code, "read/write" in message(answer)) == (400, True)
    other, next_id = volume(storage, status="in-use", migration_status="migrating"), volume(storage)
    second = server(cloud, volumes=(device(other),), project_id="demo")
    used(storage, other, second.uuid)
    used(storage, other, NOBODY, mode="ro")
    assert put(admin, second, other, next_id).status_code == 202


@pytest.mark.parametrize("after_work", [True, False])
def test_a_next_volume_whose_reservation_is_not_heard_of_is_a_conductors(
    cloud: Cloud, storage: BlockStorage, held: tuple[Instance, str, str], after_work: bool
) -> None:
    instance, old, new = held
    storage.faults.add(Fault("POST", "/attachments$", after_work=after_work))
    assert put(cloud.client("admin:service"), instance, old, new).status_code == 503
    [found] = devices(cloud, instance)
    assert (found.phase, found.next_volume_id, found.next_attachment_id) == (Phase.SWAPPING, new, None)
    assert work(cloud) == [("swap-volume", "pending")]


def test_a_next_volume_that_is_refused_leaves_nothing(
    cloud: Cloud, storage: BlockStorage, held: tuple[Instance, str, str]
) -> None:
    instance, old, new = held
    storage.faults.add(Fault("POST", "/attachments$", status=400))
    assert put(cloud.client("admin:service"), instance, old, new).status_code == 400
    [found] = devices(cloud, instance)
    assert (found.phase, found.next_volume_id, found.work) == (Phase.ATTACHED, None, None)
    assert work(cloud) == [("swap-volume", "superseded")]
