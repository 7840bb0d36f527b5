"""Servers with volumes, in the cell's database and in the imitated block storage service, for stories about both."""

import uuid as uuids
from typing import Any

import sqlalchemy as sa

from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.instance import Instance
from nova_lite.testing.block_storage import BlockStorage
from tests.functional.compute_api.cloud import CELL1, Client, Cloud

NOBODY = "99999999-9999-4999-8999-999999999999"


def status(storage: BlockStorage, volume_id: str) -> str:
    found = storage.store.records.get(StoredVolume, volume_id)
    assert found is not None
    return found.status


def attachments(storage: BlockStorage, volume_id: str) -> list[StoredAttachment]:
    return list(storage.store.records.of_volume(StoredAttachment, volume_id))


def server(cloud: Cloud, **values: Any) -> Instance:
    return cloud.add_server(CELL1, **({"host": "h1", "availability_zone": "nova"} | values))


def device(volume_id: str | None, **values: Any) -> BlockDevice:
    """Return a volume that a server has."""
    facts: dict[str, Any] = {
        "uuid": str(uuids.uuid4()),
        "volume_id": volume_id,
        "device_name": "/dev/vdb",
        "attachment_id": str(uuids.uuid4()),
    }
    return BlockDevice(**(facts | values))


def path(instance: Instance, volume_id: str = "") -> str:
    return f"/servers/{instance.uuid}/os-volume_attachments" + (f"/{volume_id}" if volume_id else "")


def attach(client: Client, instance: Instance, volume_id: str, **more: object) -> Any:
    return client.post(path(instance), {"volumeAttachment": {"volumeId": volume_id, **more}})


def devices(cloud: Cloud, instance: Instance) -> tuple[BlockDevice, ...]:
    return cloud.instance(instance.uuid).volumes


def work(cloud: Cloud) -> list[tuple[str, str]]:
    """Return kind and status of every workflow of the cell."""
    with cloud.cells.get(CELL1).db.reader() as session:
        return [(row.kind, row.status) for row in session.scalars(sa.select(CellWorkflowRow))]


def message(answer: Any) -> str:
    [fault] = answer.json.values()
    return str(fault["message"])
