"""The standard resource classes and traits: put into a database that lacks them."""

import os_resource_classes
import os_traits

from nova_lite import errors
from nova_lite.placement.repositories import names
from nova_lite.placement.tables import ResourceClassRow, TraitRow
from nova_lite.storage import Database, retried

#: Several processes may start at once; one adds, the others look again.
_ATTEMPTS = 10


def standard_names(database: Database) -> None:
    """Make sure every standard name is there; may run in many processes at once, any number of times."""
    for _ in range(_ATTEMPTS - 1):
        try:
            _once(database)
        except errors.Conflict:
            continue
        return
    _once(database)


@retried
def _once(database: Database) -> None:
    wanted: dict[names.NameTable, list[str]] = {
        ResourceClassRow: list(os_resource_classes.STANDARDS),
        TraitRow: sorted(os_traits.get_traits()),
    }
    with database.reading() as connection:
        complete = all(set(listed) <= set(names.load(connection, table)) for table, listed in wanted.items())
    if complete:
        return
    with database.writing() as connection:
        names.add_missing(connection, wanted)
