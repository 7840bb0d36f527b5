"""``/os-assisted-volume-snapshots``: refused, each time with the reason that is in the way."""

import json
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from nova_lite.clients.volumes import Volumes
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.states import TaskState, VmState
from nova_lite.testing import block_storage
from nova_lite.testing.block_storage import BlockStorage, Fault
from tests.functional.compute_api.cloud import Cloud

SNAPSHOT = "12345678-1234-4234-8234-123456789abc"
INFO = {"snapshot_id": SNAPSHOT, "type": "qcow2", "new_file": "volume.snapshot"}
URL = "/os-assisted-volume-snapshots"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockStorage]:
    directory = tmp_path_factory.mktemp("volumes")
    with block_storage.running(directory, ImageDirectory(directory / "images")) as service:
        yield service


@pytest.fixture
def cloud(tmp_path: Path, storage: BlockStorage) -> Iterator[Cloud]:
    made = Cloud(tmp_path, volumes=Volumes(storage.configuration(http_retries=0)))
    yield made
    storage.faults.clear()
    made.close()


def attached(storage: BlockStorage, cloud: Cloud, *, servers: int = 1, is_noted: bool = True, **values: Any) -> str:
    """Have a volume that servers have."""
    volume, type_id = str(uuids.uuid4()), storage.store.types.default().id
    made = StoredVolume(volume, "demo", "alice", 1, "in-use", type_id, "2026-01-01T00:00:00.000000")
    storage.store.records.put(made)
    for _ in range(servers):
        claim = str(uuids.uuid4())
        devices = (BlockDevice("d", volume, "/dev/vdb", claim),) if is_noted else ()
        server = cloud.add_server(**{"vm_state": VmState.ACTIVE, "host": "host1", "volumes": devices, **values})
        records = storage.store.records
        records.put(StoredAttachment(claim, volume, "demo", status="attached", instance_uuid=server.uuid))
    return volume


def refused(cloud: Cloud, volume_id: str, status: int = 400) -> str:
    """Ask for a snapshot, and for one to be removed; return the one reason that both are refused for."""
    client = cloud.client("admin:admins")
    asked = client.post(URL, {"snapshot": {"volume_id": volume_id, "create_info": INFO}})
    info = quote(json.dumps({"volume_id": volume_id, "type": "qcow2", "file_to_merge": "volume.snapshot"}))
    removed = client.delete(f"{URL}/{SNAPSHOT}?delete_info={info}")
    assert (asked.status_code, removed.status_code) == (status, status), asked.text
    [fault] = asked.json.values()
    assert removed.json == asked.json
    return str(fault["message"])


def test_each_refusal_has_its_reason(cloud: Cloud, storage: BlockStorage) -> None:
    assert "No volume Block Device Mapping" in refused(cloud, SNAPSHOT)
    assert "No volume Block Device Mapping" in refused(cloud, "v")
    assert "No volume Block Device Mapping" in refused(cloud, attached(storage, cloud, servers=0))
    assert "No volume Block Device Mapping" in refused(cloud, attached(storage, cloud, is_noted=False))
    assert "multi-attach" in refused(cloud, attached(storage, cloud, servers=2))
    assert "no host" in refused(cloud, attached(storage, cloud, host=None))
    assert "task_state powering-off" in refused(cloud, attached(storage, cloud, task_state=TaskState.POWERING_OFF))
    assert "no qcow2 file" in refused(cloud, attached(storage, cloud))


def test_a_silent_service_is_503(cloud: Cloud, storage: BlockStorage) -> None:
    storage.faults.add(Fault("GET", "/volumes/", times=2))
    refused(cloud, SNAPSHOT, 503)


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"volume_id": "", "create_info": INFO}, id="no volume"),
        pytest.param({"volume_id": 1, "create_info": INFO}, id="number"),
        pytest.param({"volume_id": "v", "create_info": {}}, id="nothing told"),
        pytest.param({"volume_id": "v", "create_info": INFO | {"type": "raw"}}, id="another type"),
        pytest.param({"volume_id": "v", "create_info": INFO | {"new_file": ""}}, id="no file"),
        pytest.param({"volume_id": "v", "create_info": INFO | {"more": 1}}, id="unknown word"),
        pytest.param({"volume_id": "v", "create_info": INFO, "more": 1}, id="unknown field"),
    ],
)
def test_bad_bodies(cloud: Cloud, snapshot: dict[str, Any]) -> None:
    assert cloud.client("admin:admins").post(URL, {"snapshot": snapshot}).status_code == 400


@pytest.mark.parametrize(
    ("query", "version"),
    [
        pytest.param("", "2.104", id="nothing told"),
        pytest.param("?delete_info=x", "2.104", id="no JSON"),
        pytest.param("?delete_info=[]", "2.104", id="list"),
        pytest.param("?delete_info={}", "2.104", id="no volume"),
        pytest.param('?delete_info={"volume_id":1}', "2.104", id="number"),
        pytest.param('?delete_info={"volume_id":"v"}&more=1', "2.75", id="unknown word"),
        pytest.param('?delete_info={"volume_id":"v"}&more=1', "2.74", id="no such volume, unknown word of old times"),
    ],
)
def test_bad_queries(cloud: Cloud, query: str, version: str) -> None:
    answer = cloud.client("admin:admins", version).delete(f"{URL}/{SNAPSHOT}{query}")
    assert answer.status_code == 400
    assert ("No volume Block Device Mapping" in answer.text) is (version == "2.74")


def test_users_may_not(cloud: Cloud) -> None:
    asked = {"snapshot": {"volume_id": "v", "create_info": INFO}}
    assert cloud.client().post(URL, asked).status_code == 403
    assert cloud.client().delete(f"{URL}/{SNAPSHOT}").status_code == 403
