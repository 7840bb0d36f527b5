"""Rules of resource classes and traits: standard names stay, custom ones come and go."""

from nova_lite import errors
from nova_lite.placement.repositories import names
from nova_lite.placement.repositories.names import NameTable
from nova_lite.storage import Database, retried

CUSTOM = "CUSTOM_"


class NameService:
    """One kind of name: the resource classes, or the traits."""

    def __init__(self, database: Database, table: NameTable) -> None:
        self._database = database
        self._table = table

    @retried
    def add(self, name: str) -> None:
        """Add a custom name; raises Conflict when it is there."""
        with self._database.writer() as session:
            names.add(session, self._table, name)

    def ensure(self, name: str) -> bool:
        """Make sure a name is there and return whether that took adding it."""
        try:
            self.add(name)
        except errors.Conflict:
            return False
        return True

    @retried
    def remove(self, name: str) -> None:
        """Remove a custom name that nothing uses; raises Invalid for a standard one."""
        with self._database.writer() as session:
            if not name.startswith(CUSTOM) and names.exists(session, self._table, name):
                raise errors.Invalid(f"Cannot delete {name}: it is a standard name.")
            names.remove(session, self._table, name)
