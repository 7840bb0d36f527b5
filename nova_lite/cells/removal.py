"""Take hosts and cells away. Everything is looked at before, and once more under the lock that decides."""

from enum import Enum

from nova_lite import errors
from nova_lite.cells import setup, templates
from nova_lite.cells.templates import LocalUrls
from nova_lite.db import migrate
from nova_lite.db.repositories import archive, hosts, mappings, unmapped
from nova_lite.model.host import Cell
from nova_lite.storage import Database, retried


class Refusal(Enum):
    """Why something is not taken away."""

    NO_CELL = "There is no such cell."
    NO_HOST = "The host is not mapped."
    OTHER_CELL = "The host is mapped to another cell."
    HAS_SERVERS = "Servers are on the host; move or delete them first."
    HAS_HOSTS = "The cell has hosts: take them away first with cell_v2 delete_host, or give --force."
    HAS_LIVE_SERVERS = "The cell has servers; delete them first."
    HAS_DEAD_SERVERS = "Servers that were deleted are still mapped to the cell; give --force to forget them too."


def delete_host(api_db: Database, cell_uuid: str, host: str, *, local: LocalUrls) -> Refusal | None:
    """Forget a host of a cell: its mapping and its place in aggregates. It is found again while its agent reports.

    Raises Unavailable or Misconfigured when the cell cannot be asked for the host's servers.
    """
    try:
        with api_db.reader() as session:
            cell = mappings.cell(session, cell_uuid)
    except errors.NotFound:
        return Refusal.NO_CELL
    refusal = _refused_host(api_db, cell, host)
    if refusal is not None:
        return refusal
    cell_db = _cell_db(cell, local)
    try:
        return _delete_host(api_db, cell_db, cell, host)
    finally:
        cell_db.close()


@retried
def _delete_host(api_db: Database, cell_db: Database, cell: Cell, host: str) -> Refusal | None:
    with cell_db.writer() as session:
        unmapped.lock_agent(session, host, hosts.AGENT)
        if unmapped.has_living(session, host):
            return Refusal.HAS_SERVERS
        with api_db.writer() as api_session:
            mappings.lock_cells(api_session)
            refusal = _refusal_of(mappings.hosts(api_session).get(host), cell)
            if refusal is None:
                mappings.remove_host(api_session, host)
    return refusal


def _refused_host(api_db: Database, cell: Cell, host: str) -> Refusal | None:
    with api_db.reader() as session:
        return _refusal_of(mappings.hosts(session).get(host), cell)


def _refusal_of(mapped_to: str | None, cell: Cell) -> Refusal | None:
    if mapped_to is None:
        return Refusal.NO_HOST
    return None if mapped_to == cell.uuid else Refusal.OTHER_CELL


def delete_cell(api_db: Database, cell_uuid: str, *, is_forced: bool, local: LocalUrls) -> Refusal | None:
    """Forget a cell; ``is_forced`` also its hosts, and the mappings of its dead servers. Its database stays.

    Raises Forbidden for cell0, Unavailable or Misconfigured when the cell has servers and cannot be asked whether they
    live. One that nothing is mapped to need not answer.
    """
    cell_db: Database | None = None
    try:
        with api_db.reader() as session:
            cell = mappings.cell(session, cell_uuid)
        if cell.is_cell0:
            raise errors.Forbidden("cell0 cannot be deleted: servers go there that no host can take.")
        cell_db = _answering_db(api_db, cell, local)
        return _delete_cell(api_db, cell_db, cell, is_forced=is_forced)
    except errors.NotFound:
        return Refusal.NO_CELL
    finally:
        if cell_db is not None:
            cell_db.close()


def _answering_db(api_db: Database, cell: Cell, local: LocalUrls) -> Database | None:
    """Return the cell's database; None when it does not answer and nothing is mapped to the cell."""
    try:
        return _cell_db(cell, local)
    except (errors.Unavailable, errors.Misconfigured):
        with api_db.reader() as session:
            if mappings.has_instances(session, cell.uuid):
                raise
        return None


@retried
def _delete_cell(api_db: Database, cell_db: Database | None, cell: Cell, *, is_forced: bool) -> Refusal | None:
    with api_db.writer() as session:
        # Whoever maps a host or an instance to the cell waits here, and then finds no cell.
        mappings.lock_cells(session)
        mappings.cell(session, cell.uuid)
        if mappings.hosts(session, cell.uuid) and not is_forced:
            return Refusal.HAS_HOSTS
        has_mapped = mappings.has_instances(session, cell.uuid)
        if cell_db is None and has_mapped:
            raise errors.Unavailable(
                "Servers were mapped to the cell just now, and its database does not answer.", is_named=True
            )
        if cell_db is not None and _has_living(cell_db):
            return Refusal.HAS_LIVE_SERVERS
        if has_mapped and not is_forced:
            return Refusal.HAS_DEAD_SERVERS
        archive.forget_cell(session, cell.uuid)
        mappings.remove_cell(session, cell.uuid)
    return None


def _has_living(cell_db: Database) -> bool:
    with cell_db.reader() as session:
        return unmapped.has_living(session)


def _cell_db(cell: Cell, local: LocalUrls) -> Database:
    """Open a cell's database; raises Unavailable or Misconfigured when it cannot be asked."""
    try:
        cell_db = Database(templates.connection(cell, local))
    except errors.Misconfigured as exc:
        message = f"The database of cell {setup.title(cell)} cannot be used: {exc.message}"
        raise errors.Misconfigured(message) from exc
    try:
        migrate.require(cell_db, "cell")
    except errors.NovaLiteError as exc:
        cell_db.close()
        if isinstance(exc, errors.Unavailable):
            message = f"The database of cell {setup.title(cell)} does not answer."
            raise errors.Unavailable(message, is_named=True, cause=exc.facts.get("cause")) from exc
        raise
    return cell_db
