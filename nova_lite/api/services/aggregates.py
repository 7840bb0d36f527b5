"""Host aggregates, to look at."""

from nova_lite.db.repositories import aggregates
from nova_lite.db.repositories.aggregates import Aggregate
from nova_lite.storage import Database


class AggregateService:
    """Aggregates in the API database."""

    def __init__(self, api_db: Database) -> None:
        self._api_db = api_db

    def all(self) -> list[Aggregate]:
        """Return every aggregate."""
        with self._api_db.reader() as session:
            return aggregates.all_of_them(session)

    def show(self, aggregate_id: int) -> Aggregate:
        """Return one aggregate; raises NotFound."""
        with self._api_db.reader() as session:
            return aggregates.get(session, aggregate_id)
