"""Set cells up: map cell0, add cells, find the hosts they have. What operators' commands and the embedded cloud call.

Everything here may be done twice, and by two at once: what is there already stays as it is.
"""

import uuid as uuids
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import templates
from nova_lite.cells.templates import NOWHERE, LocalUrls
from nova_lite.db import migrate
from nova_lite.db.repositories import hosts, mappings
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.rpc import transport_url as transport_urls
from nova_lite.storage import Database, checked_url, retried

#: cell0 has no hosts, so nobody is ever told anything there.
CELL0_TRANSPORT_URL = "none:///"
_MAX_NAME = 255
#: Ports of database servers where a URL names none.
_PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A cell, and whether it was added now or found there."""

    cell: Cell
    is_new: bool


@dataclass(frozen=True, slots=True)
class Discovery:
    """What looking for hosts in one cell came to.

    ``mapped`` are mapped now, ``lost`` were being mapped by somebody else at the same moment, ``elsewhere`` (host →
    cell UUID) report to this cell but are mapped to another. ``failure`` says why the cell could not be looked at.
    """

    cell: Cell
    mapped: Sequence[str] = ()
    lost: Sequence[str] = ()
    elsewhere: dict[str, str] = field(default_factory=dict)
    failure: str | None = None


def cell0_connection(connection: str) -> str:
    """Return the URL of cell0's database beside the main one at ``connection``: its name with ``_cell0``.

    Raises Misconfigured when that names no database.
    """
    url = checked_url(connection)
    if not url.database or url.database == ":memory:":
        raise errors.Misconfigured("The main database's connection names no database, so cell0's needs to be given.")
    head, dot, extension = url.database.rpartition(".")
    if url.get_backend_name() == "sqlite" and dot and "/" not in extension:
        name = f"{head}_cell0.{extension}"
    else:
        name = f"{url.database}_cell0"
    return url.set(database=name).render_as_string(hide_password=False)


@retried
def map_cell0(api_db: Database, connection: str, *, local: LocalUrls = NOWHERE) -> Mapped:
    """Map cell0 to the database at ``connection``, unless it is mapped already.

    Raises Misconfigured for a bad URL, Conflict when it is the database of a cell.
    """
    cell = Cell(CELL0_UUID, "cell0", CELL0_TRANSPORT_URL, connection)
    checked_url(templates.connection(cell, local))
    with api_db.writer() as session:
        mappings.lock_cells(session)
        for known in mappings.cells(session):
            if known.is_cell0:
                return Mapped(known, is_new=False)
        _require_own_urls(session, cell, local)
        mappings.add_cell(session, cell)
    return Mapped(cell, is_new=True)


@retried
def create_cell(
    api_db: Database,
    *,
    name: str | None,
    transport_url: str,
    connection: str,
    is_disabled: bool = False,
    local: LocalUrls = NOWHERE,
) -> Cell:
    """Add a cell. Its URLs may have holes, which are filled from ``local`` to be checked and stay in the mapping.

    Raises Conflict when another one has its bus or its database, Misconfigured for a bad URL, Invalid for a bad name.
    """
    cell = Cell(str(uuids.uuid4()), name, transport_url, connection, is_disabled)
    _check(cell, local, name=name, transport_url=transport_url, connection=connection)
    with api_db.writer() as session:
        mappings.lock_cells(session)
        _require_own_urls(session, cell, local)
        mappings.add_cell(session, cell)
    return cell


@retried
def update_cell(
    api_db: Database,
    uuid: str,
    *,
    name: str | None = None,
    transport_url: str | None = None,
    connection: str | None = None,
    is_disabled: bool | None = None,
    local: LocalUrls = NOWHERE,
) -> Cell:
    """Change what is given of a cell; the rest stays. All processes see it within seconds.

    Raises NotFound, Conflict when another cell has that bus or database, Misconfigured or Invalid for bad values,
    Forbidden for cell0, which is never disabled and has no bus.
    """
    with api_db.writer() as session:
        mappings.lock_cells(session)
        before = mappings.cell(session, uuid)
        changed = replace(
            before,
            name=before.name if name is None else name,
            transport_url=transport_url or before.transport_url,
            database_connection=connection or before.database_connection,
            is_disabled=before.is_disabled if is_disabled is None else is_disabled,
        )
        if changed.is_cell0 and (changed.is_disabled or transport_url):
            raise errors.Forbidden("cell0 cannot be disabled and has no bus: it only keeps servers that no host took.")
        # What stays as it is may be wrong, and be mended by the next call.
        _check(changed, local, name=name, transport_url=transport_url, connection=connection)
        if transport_url or connection:
            _require_own_urls(session, changed, local)
        mappings.change_cell(session, changed)
    return changed


def _check(
    cell: Cell, local: LocalUrls, *, name: str | None, transport_url: str | None, connection: str | None
) -> None:
    """Check those parts of a mapping that are given; raises Misconfigured for a bad URL, Invalid for a bad name."""
    if transport_url:
        transport_urls.checked(templates.transport_url(cell, local))
    if connection:
        checked_url(templates.connection(cell, local))
    if name is not None and not 0 < len(name) <= _MAX_NAME:
        raise errors.Invalid(f"A cell's name has 1 to {_MAX_NAME} characters.")


def _require_own_urls(session: Session, cell: Cell, local: LocalUrls) -> None:
    """Raise Conflict when a mapping names the bus or the database of another one."""
    for other in mappings.cells(session):
        if other.uuid == cell.uuid:
            continue
        has_bus = _bus(cell, local) == _bus(other, local)
        has_database = _place(cell, local) == _place(other, local)
        if has_bus or has_database:
            what = "database" if has_database else "transport URL"
            raise errors.Conflict(f"Cell {title(other)} has that {what} already; each cell needs its own.")


def _bus(cell: Cell, local: LocalUrls) -> str:
    """Return a mapping's transport URL, as it stands there when it cannot be filled."""
    try:
        return templates.transport_url(cell, local)
    except errors.Misconfigured:
        return cell.transport_url


def _place(cell: Cell, local: LocalUrls) -> tuple[object, ...]:
    """Return where a mapping's database is; its URL as it stands there when it cannot be filled."""
    try:
        return place_of(checked_url(templates.connection(cell, local)))
    except errors.Misconfigured:
        return (cell.database_connection,)


def place_of(url: URL) -> tuple[object, ...]:
    """Return what two URLs of one database have in common, whoever logs in and with which options."""
    backend = url.get_backend_name()
    return (backend, url.host, url.port or _PORTS.get(backend), url.database)


@retried
def find_or_create_cell(
    api_db: Database, *, name: str | None, transport_url: str, connection: str, local: LocalUrls = NOWHERE
) -> Mapped:
    """Return the cell with this bus and database, added if there is none; raises Conflict as ``create_cell``."""
    cell = Cell(str(uuids.uuid4()), name, transport_url, connection)
    _check(cell, local, name=name, transport_url=transport_url, connection=connection)
    with api_db.writer() as session:
        mappings.lock_cells(session)
        for known in mappings.cells(session):
            if (_bus(known, local), _place(known, local)) == (_bus(cell, local), _place(cell, local)):
                return Mapped(known, is_new=False)
        _require_own_urls(session, cell, local)
        mappings.add_cell(session, cell)
    return Mapped(cell, is_new=True)


def cells(api_db: Database, cell_uuid: str | None = None) -> list[Cell]:
    """Return every cell, cell0 first, or the one named; raises NotFound."""
    with api_db.reader() as session:
        return mappings.cells(session) if cell_uuid is None else [mappings.cell(session, cell_uuid)]


def hosts_of(api_db: Database, cell_uuid: str | None = None) -> dict[str, str]:
    """Return host → cell UUID of every mapped host, or of one cell's; raises NotFound for an unknown cell."""
    with api_db.reader() as session:
        if cell_uuid is not None:
            mappings.cell(session, cell_uuid)
        return mappings.hosts(session, cell_uuid)


def discover_hosts(
    api_db: Database, cell_uuid: str | None = None, *, by_service: bool = False, local: LocalUrls = NOWHERE
) -> list[Discovery]:
    """Map the hosts that report to a cell, or to every cell but cell0, and are mapped to none.

    A host reports by its compute node; with ``by_service`` its service is enough. One Discovery a cell; one that
    cannot be reached does not keep the others from being looked at.
    """
    found = [cell for cell in cells(api_db, cell_uuid) if not cell.is_cell0]
    return [_discover(api_db, cell, local, by_service=by_service) for cell in found]


def _discover(api_db: Database, cell: Cell, local: LocalUrls, *, by_service: bool) -> Discovery:
    try:
        cell_db = Database(templates.connection(cell, local))
        try:
            migrate.require(cell_db, "cell")
            reporting = reporting_hosts(cell_db, by_service=by_service)
        finally:
            cell_db.close()
    except (errors.Unavailable, errors.Misconfigured) as exc:
        cause = exc.facts.get("cause")
        return Discovery(cell, failure=f"{exc.message} {cause}" if cause else exc.message)
    return map_hosts(api_db, cell, reporting)


def reporting_hosts(cell_db: Database, *, by_service: bool = False) -> list[str]:
    """Return the hosts that report to a cell, in order."""
    with cell_db.reader() as session:
        if by_service:
            found = hosts.services(session, down_after_s=0, binary=hosts.AGENT)
            return sorted({service.host for service in found})
        return sorted(set(hosts.node_hosts(session).values()))


def map_hosts(api_db: Database, cell: Cell, reporting: Sequence[str]) -> Discovery:
    """Map those of the hosts ``reporting`` to ``cell`` that are mapped to none."""
    with api_db.reader() as session:
        known = mappings.hosts(session)
    new = [host for host in reporting if host not in known]
    elsewhere = {host: known[host] for host in reporting if known.get(host, cell.uuid) != cell.uuid}
    if _add_hosts(api_db, cell, new):
        return Discovery(cell, mapped=new, elsewhere=elsewhere)
    # Somebody else maps hosts at the same time: each by itself, so that only those are lost.
    mapped = [host for host in new if _add_hosts(api_db, cell, [host])]
    return Discovery(cell, mapped=mapped, lost=[host for host in new if host not in mapped], elsewhere=elsewhere)


@retried
def _add_hosts(api_db: Database, cell: Cell, new: Sequence[str]) -> bool:
    """Map all of ``new`` or none; False when one of them is mapped already."""
    try:
        with api_db.writer() as session:
            for host in new:
                mappings.add_host(session, host, cell.uuid)
    except IntegrityError:
        return False
    return True


def title(cell: Cell) -> str:
    """Return how people are told of a cell."""
    return f"{cell.name} ({cell.uuid})" if cell.name else cell.uuid
