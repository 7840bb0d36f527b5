"""Rules of resource classes and traits: standard names stay, custom ones come and go."""

import sqlalchemy as sa

from nova_lite import errors
from nova_lite.placement.repositories import names
from nova_lite.placement.repositories.names import NameTable
from nova_lite.placement.repositories.transactions import Writer
from nova_lite.storage import Database

CUSTOM = "CUSTOM_"


class NameService:
    """One kind of name: the resource classes, or the traits."""

    def __init__(self, database: Database, table: NameTable) -> None:
        self._writer = Writer(database)
        self._table = table

    def add(self, name: str) -> None:
        """Add a custom name; raises Conflict when it is there."""
        self._writer.run(names.add, self._table, name)

    def ensure(self, name: str) -> bool:
        """Make sure a name is there and return whether that took adding it."""
        try:
            self.add(name)
        except errors.Conflict:
            return False
        return True

    def rename(self, name: str, new_name: str) -> None:
        """Rename a custom resource class; raises NotFound, Invalid for a standard one, Conflict for a taken name."""
        self._writer.run(self._rename, name, new_name)

    def _rename(self, connection: sa.Connection, name: str, new_name: str) -> None:
        if not name.startswith(CUSTOM) and names.exists(connection, self._table, name):
            raise errors.Invalid(f"Cannot update standard resource class {name}.")
        names.rename_class(connection, name, new_name)

    def remove(self, name: str) -> None:
        """Remove a custom name that nothing uses; raises Invalid for a standard one."""
        self._writer.run(self._remove, name)

    def _remove(self, connection: sa.Connection, name: str) -> None:
        if not name.startswith(CUSTOM) and names.exists(connection, self._table, name):
            raise errors.Invalid(f"Cannot delete {name}: it is a standard name.")
        names.remove(connection, self._table, name)
