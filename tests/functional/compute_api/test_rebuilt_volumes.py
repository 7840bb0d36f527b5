"""Rebuilding servers that boot from volumes, as far as the API decides: what is taken, and what is refused."""

import uuid as uuids
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.embedded import volume_api, volume_requests
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.testing.block_storage import BlockStorage, Fault
from nova_lite.web.versions import Version
from tests.functional.compute_api.cloud import BIG_IMAGE_ID, CELL1, GIB, IMAGE_ID, Client, Cloud
from tests.functional.compute_api.stored_volumes import volume

OTHER = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"
SOMEBODY = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def cloud(volume_cloud: Cloud) -> Cloud:
    volume_cloud.images.images[OTHER] = Image(OTHER, "other", "active", "raw", size=GIB + 1)
    return volume_cloud


def server(cloud: Cloud, storage: BlockStorage, *, holders: tuple[str, ...] = (), **values: Any) -> Instance:
    """Return a server that boots from a volume; ``values`` are the volume's, ``vm_state`` the server's."""
    vm_state = values.pop("vm_state", VmState.ACTIVE)
    facts = {"size_gib": 2, "status": "in-use", "image_metadata": {"image_id": IMAGE_ID}}
    volume_id = volume(storage, **(facts | values))
    root = BlockDevice(str(uuids.uuid4()), volume_id, "/dev/vda", str(uuids.uuid4()), boot_index=0)
    made = cloud.add_server(CELL1, host="h1", image_id="", vm_state=vm_state, volumes=(root,))
    with storage.store.records.changing():
        for holder in (made.uuid, *holders):
            storage.store.records.put(
                StoredAttachment(str(uuids.uuid4()), volume_id, "demo", "attached", instance_uuid=holder)
            )
    return made


def rebuild(cloud: Cloud, made: Instance, image_id: str, version: str = "2.93") -> Any:
    client: Client = cloud.client(version=version)
    return client.post(f"/servers/{made.uuid}/action", {"rebuild": {"imageRef": image_id}})


def work(cloud: Cloud) -> list[tuple[str, Any]]:
    """Return every workflow, those above the cells first, with how large its image is."""
    with cloud.api_db.reader() as session:
        found = [(row.kind, row.inputs["rebuild"]["image_gib"]) for row in session.scalars(sa.select(ApiWorkflowRow))]
    with cloud.cells.get(CELL1).db.reader() as session:
        rows = session.scalars(sa.select(CellWorkflowRow))
        return found + [(row.kind, row.inputs["rebuild"]["image_gib"]) for row in rows]


def refused(cloud: Cloud, made: Instance, answer: Any, status: int) -> str:
    """Return why a rebuild is refused, which has changed nothing."""
    assert answer.status_code == status, answer.text
    assert (work(cloud), cloud.instance(made.uuid).task_state) == ([], None)
    (fault,) = answer.json.values()
    return str(fault["message"])


def test_before_2_93_the_volume_stays_as_it_is(cloud: Cloud, storage: BlockStorage) -> None:
    made = server(cloud, storage)
    said = refused(cloud, made, rebuild(cloud, made, OTHER, "2.92"), 400)
    assert said.endswith("Unable to rebuild with a different image for a volume-backed server.")
    assert rebuild(cloud, made, IMAGE_ID, "2.92").status_code == 202
    assert work(cloud) == [("rebuild", 0)]


@pytest.mark.parametrize(("image_id", "gib"), [(OTHER, 2), (IMAGE_ID, 1)])
def test_since_2_93_it_is_filled_anew_also_with_the_image_it_has(
    cloud: Cloud, storage: BlockStorage, image_id: str, gib: int
) -> None:
    made = server(cloud, storage)
    answer = rebuild(cloud, made, image_id)
    assert (answer.status_code, answer.json["server"]["status"]) == (202, "REBUILD")
    assert work(cloud) == [("reimage", gib)]
    (done,) = cloud.client().get(f"/servers/{made.uuid}/os-instance-actions").json["instanceActions"]
    assert done["action"] == "rebuild"


def test_a_server_whose_rebuild_failed_is_rebuilt_again(cloud: Cloud, storage: BlockStorage) -> None:
    made = server(cloud, storage, status="reserved", vm_state=VmState.ERROR)
    assert rebuild(cloud, made, OTHER).status_code == 202


@pytest.mark.parametrize("status", ["attaching", "detaching", "reserved", "error", "downloading"])
def test_a_volume_that_is_not_in_use_is_not_filled(cloud: Cloud, storage: BlockStorage, status: str) -> None:
    made = server(cloud, storage, status=status)
    assert f"Currently in '{status}'" in refused(cloud, made, rebuild(cloud, made, OTHER), 400)


def test_a_volume_that_others_have_too_is_not_filled(cloud: Cloud, storage: BlockStorage) -> None:
    made = server(cloud, storage, holders=(SOMEBODY,), is_multiattach=True)
    assert "other servers" in refused(cloud, made, rebuild(cloud, made, OTHER), 400)


@pytest.mark.parametrize("version", ["2.92", "2.93"])
def test_an_image_that_is_larger_than_the_volume(cloud: Cloud, storage: BlockStorage, version: str) -> None:
    made = server(cloud, storage, size_gib=1, image_metadata={"image_id": BIG_IMAGE_ID})
    assert "too small" in refused(cloud, made, rebuild(cloud, made, BIG_IMAGE_ID, version), 400)


def test_a_service_that_is_too_old_is_named(
    cloud: Cloud, storage: BlockStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (volume_api, volume_requests):
        monkeypatch.setattr(module, "MAXIMUM", Version.parse("3.50"))
    made = server(cloud, storage)
    said = refused(cloud, made, rebuild(cloud, made, OTHER), 501)
    assert "asked at 3.48, 3.68 is needed" in said
    assert rebuild(cloud, made, IMAGE_ID, "2.92").status_code == 202


def test_a_volume_that_is_gone(cloud: Cloud, storage: BlockStorage) -> None:
    made = server(cloud, storage)
    storage.store.records.remove(StoredVolume, str(made.volumes[0].volume_id))
    assert "could not be found" in refused(cloud, made, rebuild(cloud, made, OTHER), 404)


def test_a_service_that_is_down(cloud: Cloud, storage: BlockStorage) -> None:
    made = server(cloud, storage)
    storage.faults.add(Fault("GET", "/volumes/", status=503))
    refused(cloud, made, rebuild(cloud, made, OTHER), 503)
