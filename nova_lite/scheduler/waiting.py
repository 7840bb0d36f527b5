"""Which servers still wait for a host, as the API database knows it."""

from collections.abc import Sequence

from nova_lite.db.repositories import build_requests
from nova_lite.storage import Database


class Waiting:
    """The servers that wait for a host."""

    def __init__(self, api_db: Database) -> None:
        self._api_db = api_db

    def missing(self, instance_uuids: Sequence[str]) -> list[str]:
        """Return those of ``instance_uuids`` that do not wait: they have a host, or are gone."""
        if not instance_uuids:
            return []
        with self._api_db.reader() as session:
            waiting = build_requests.waiting(session, instance_uuids)
        return [uuid for uuid in instance_uuids if uuid not in waiting]
