"""Are the API database and all cells ready for this release? Each function is one check; nothing is changed."""

from collections.abc import Mapping

from nova_lite.cells import setup
from nova_lite.cells.offline import CellDatabases
from nova_lite.db.online_migrations import Step
from nova_lite.db.repositories import hosts, mappings
from nova_lite.model.checks import Check, Level
from nova_lite.model.host import Service
from nova_lite.storage import Database

#: The oldest version of a service that this release talks with.
OLDEST_SERVICE = 1
#: Names of hosts and cells that one line shows.
_SHOWN = 5


def cells_mapped(cells: CellDatabases) -> Check:
    """Return whether there is cell0, and a cell that is enabled beside it."""
    title = "cells"
    if not any(cell.is_cell0 for cell in cells.cells):
        return Check(title, Level.FAILURE, "cell0 is not mapped; run: nova-lite-manage cell_v2 map_cell0")
    others = [cell for cell in cells.cells if not cell.is_cell0]
    if not others:
        details = "No cell is mapped but cell0; run: nova-lite-manage cell_v2 create_cell"
        return Check(title, Level.FAILURE, details)
    if all(cell.is_disabled for cell in others):
        return Check(title, Level.WARNING, "All cells are disabled, so no server can be placed.")
    return Check(title, Level.SUCCESS, f"{len(others)} beside cell0")


def cell_databases(cells: CellDatabases) -> Check:
    """Return whether the database of every cell answers, and has the tables of this release."""
    for cell in cells.cells:
        cells.database(cell)
    titles = {cell.uuid: setup.title(cell) for cell in cells.cells}
    sentences = [f"{titles[uuid]}: {why}" for uuid, why in cells.down.items()]
    return Check("cell databases", Level.FAILURE if sentences else Level.SUCCESS, " ".join(sentences))


def hosts_mapped(api_db: Database, cells: CellDatabases) -> Check:
    """Return whether every host that reports to a cell is mapped to it."""
    title = "hosts"
    with api_db.reader() as session:
        known = mappings.hosts(session)
    reporting: dict[str, str] = {}
    for cell in cells.cells:
        found = cells.ask(cell, hosts.node_hosts) or {}
        reporting |= dict.fromkeys(found.values(), cell.uuid)
    unmapped = sorted(host for host, cell_uuid in reporting.items() if known.get(host) != cell_uuid)
    discover = "run: nova-lite-manage cell_v2 discover_hosts"
    if unmapped:
        level = Level.WARNING if known else Level.FAILURE
        return Check(title, level, f"{_listed(unmapped)} not mapped to the cell reported to; {discover}")
    if not reporting:
        return Check(title, Level.SUCCESS, f"No host reports to any cell yet; when one does, {discover}")
    return Check(title, Level.SUCCESS, f"{len(reporting)} mapped")


def services(cells: CellDatabases, *, down_after_s: float) -> list[Check]:
    """Return whether no service is older than this release bears, and none is silent without being disabled."""
    found: list[Service] = []
    for cell in cells.cells:
        found += cells.ask(cell, lambda session: hosts.services(session, down_after_s=down_after_s)) or []
    old = sorted(f"{one.binary} on {one.host} ({one.version})" for one in found if one.version < OLDEST_SERVICE)
    age = Check("versions of services", Level.SUCCESS)
    if old:
        details = f"{_listed(old)} older than version {OLDEST_SERVICE}; upgrade first what runs there"
        age = Check("versions of services", Level.FAILURE, details)
    silent = sorted(f"{one.binary} on {one.host}" for one in found if not one.is_up and not one.is_disabled)
    if silent:
        details = f"{_listed(silent)} down; start, disable or delete"
        return [age, Check("services", Level.WARNING, details)]
    return [age, Check("services", Level.SUCCESS, f"{len(found)} up or disabled" if found else "none reports yet")]


def online_migrations(
    api_db: Database, cells: CellDatabases, api_steps: Mapping[str, Step], cell_steps: Mapping[str, Step]
) -> Check:
    """Return whether all data was brought into the shape of this release; the steps are looked at, not run."""
    title = "online data migrations"
    waiting = [name for name, step in api_steps.items() if step(api_db, 0)[0]]
    for cell in cells.cells:
        database = cells.database(cell)
        if database is not None:
            steps = [name for name, step in cell_steps.items() if step(database, 0)[0]]
            waiting += [f"{name} in {setup.title(cell)}" for name in steps]
    if waiting:
        details = f"{_listed(waiting)} to be done; run: nova-lite-manage db online_data_migrations --all-cells"
        return Check(title, Level.FAILURE, details)
    return Check(title, Level.SUCCESS)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "") + ":"
