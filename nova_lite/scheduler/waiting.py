"""Which servers nobody wants a host for any more, as the API database knows it."""

from collections.abc import Sequence

from nova_lite.db.repositories import build_requests, mappings
from nova_lite.model.host import CELL0_UUID
from nova_lite.storage import Database


class Waiting:
    """The servers that wait for a host, or have one."""

    def __init__(self, api_db: Database) -> None:
        self._api_db = api_db

    def missing(self, instance_uuids: Sequence[str]) -> list[str]:
        """Return those of ``instance_uuids`` that neither wait for a host nor live in a cell: gone, or buried."""
        if not instance_uuids:
            return []
        with self._api_db.reading() as connection:
            waiting = build_requests.waiting(connection, instance_uuids)
            if len(waiting) == len(instance_uuids):
                return []
            # In this order: whoever waits no more is in a cell by then.
            cells = mappings.cells_of_instances(connection, instance_uuids)
        return [uuid for uuid in instance_uuids if uuid not in waiting and cells.get(uuid, CELL0_UUID) == CELL0_UUID]
