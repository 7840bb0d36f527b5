"""Is the Placement database ready for the installed release? Its tables' version is ``db/migrate.py``'s to say."""

from collections.abc import Callable, Mapping

import os_resource_classes
import os_traits

from nova_lite.model.checks import Check, Level
from nova_lite.placement.repositories import audit, names
from nova_lite.placement.services.allocations import NOBODY
from nova_lite.placement.tables import ResourceClassRow, TraitRow
from nova_lite.storage import Database


def checks(database: Database, steps: Mapping[str, Callable[[Database, int], tuple[int, int]]]) -> list[Check]:
    """Return what there is to say about a database with the right tables; ``steps`` are looked at, not run."""
    return [_standard_names(database), _steps(database, steps), _owners(database)]


def _standard_names(database: Database) -> Check:
    title = "standard classes and traits"
    with database.reader() as session:
        missing = set(os_resource_classes.STANDARDS) - set(names.load(session, ResourceClassRow))
        missing |= set(os_traits.get_traits()) - set(names.load(session, TraitRow))
    if missing:
        return Check(title, Level.WARNING, f"{len(missing)} are missing; the first request puts them in")
    return Check(title, Level.SUCCESS)


def _steps(database: Database, steps: Mapping[str, Callable[[Database, int], tuple[int, int]]]) -> Check:
    title = "online data migrations"
    waiting = [name for name, step in steps.items() if step(database, 0)[0]]
    if waiting:
        details = f"{', '.join(waiting)}; run: nova-lite-manage placement_db online_data_migrations"
        return Check(title, Level.FAILURE, details)
    return Check(title, Level.SUCCESS)


def _owners(database: Database) -> Check:
    title = "owners of allocations"
    with database.reader() as session:
        ownerless = audit.count_consumers_of(session, NOBODY)
    if ownerless:
        details = (
            f"{ownerless} consumers were claimed for by clients that told no project; "
            "run: nova-lite-manage placement heal_allocations"
        )
        return Check(title, Level.WARNING, details)
    return Check(title, Level.SUCCESS)
