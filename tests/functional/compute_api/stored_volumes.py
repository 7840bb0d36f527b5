"""Volumes that the embedded block storage service has on record, without a file behind them."""

import uuid as uuids
from typing import Any

from nova_lite.embedded.volume_records import StoredVolume
from nova_lite.testing.block_storage import BlockStorage


def volume(storage: BlockStorage, **values: Any) -> str:
    """Have a volume that nobody needs the file of; ``values`` say what is special about it."""
    facts: dict[str, Any] = {
        "id": str(uuids.uuid4()),
        "project_id": "demo",
        "user_id": "alice",
        "size_gib": 1,
        "status": "available",
        "type_id": storage.store.types.default().id,
        "created_at": "2026-01-01T00:00:00.000000",
    }
    made = StoredVolume(**(facts | values))
    with storage.store.records.changing():
        storage.store.records.put(made)
    return made.id
