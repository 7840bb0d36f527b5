"""``cell_v2``: map cell0, add cells, find their hosts. The rules are in ``cells/setup.py``."""

import argparse
from collections.abc import Sequence
from typing import Any

from nova_lite import errors
from nova_lite.cells import setup
from nova_lite.cells.setup import Discovery
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import FORMATS, complain, rendered, shown_connection, shown_transport_url
from nova_lite.db import migrate
from nova_lite.model.host import Cell
from nova_lite.rpc import transport_url as transport_urls
from nova_lite.storage import Database

_FAILED, _TAKEN, _LOST_RACE = 1, 2, 2


def add_commands(categories: Any) -> None:
    """Add the category."""
    commands = categories.add_parser("cell_v2", help="cells and their hosts").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    _add_cell_commands(commands)
    _add_host_commands(commands)


def _add_cell_commands(commands: Any) -> None:
    command = commands.add_parser(
        "map_cell0",
        help="map cell0, where servers go that no host can take",
        epilog="Exit codes: 0 mapped, now or before; 1 failed.",
    )
    _add_connection(command, "by default that of [database] with _cell0 after the database's name")
    command.set_defaults(run=_map_cell0)

    command = commands.add_parser(
        "create_cell",
        help="add a cell",
        epilog="Exit codes: 0 added; 1 a URL is missing or wrong; 2 another cell has this bus or this database.",
    )
    command.add_argument("--name", help="what people call the cell")
    _add_transport_url(command)
    _add_connection(command, "by default that of [database]")
    command.add_argument("--verbose", action="store_true", help="print the new cell's UUID")
    command.add_argument("--disabled", action="store_true", help="place no servers there yet")
    command.set_defaults(run=_create_cell)

    command = commands.add_parser("list_cells", help="list the cells")
    command.add_argument("--verbose", action="store_true", help="show URLs with their passwords")
    _add_format(command)
    command.set_defaults(run=_list_cells)

    command = commands.add_parser(
        "simple_cell_setup",
        help="map cell0 and one cell with all its hosts and servers",
        epilog="Exit codes: 0 done; 1 a bad URL, or no host reports to the cell yet.",
    )
    _add_transport_url(command)
    command.set_defaults(run=_simple_cell_setup)


def _add_host_commands(commands: Any) -> None:
    command = commands.add_parser(
        "discover_hosts",
        help="map the hosts that report to cells and are mapped to none",
        epilog="Exit codes: 0 done; 1 failed, or with --strict nothing was found; 2 somebody else mapped hosts at the "
        "same time: run it again.",
    )
    _add_cell_uuid(command, "look in this cell only")
    command.add_argument("--strict", action="store_true", help="fail when no unmapped host is found")
    command.add_argument(
        "--by-service", action="store_true", help="take a host for one by its service, even without a compute node"
    )
    command.add_argument("--verbose", action="store_true", help="tell what is found where")
    command.set_defaults(run=_discover_hosts)

    command = commands.add_parser(
        "list_hosts", help="list the mapped hosts", epilog="Exit codes: 0 done; 1 there is no such cell."
    )
    _add_cell_uuid(command, "list the hosts of this cell only")
    _add_format(command)
    command.set_defaults(run=_list_hosts)


def _add_transport_url(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--transport-url",
        "--transport_url",
        metavar="URL",
        help="the cell's message bus, by default that of [DEFAULT] transport_url",
    )


def _add_connection(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--database_connection", "--database-connection", metavar="URL", help=f"the cell's database, {default}"
    )


def _add_cell_uuid(command: argparse.ArgumentParser, help_text: str) -> None:
    command.add_argument("--cell_uuid", "--cell-uuid", metavar="UUID", help=help_text)


def _add_format(command: argparse.ArgumentParser) -> None:
    command.add_argument("-f", "--format", choices=FORMATS, default="table", help="output format, by default table")


def _map_cell0(installation: Installation, arguments: argparse.Namespace) -> int:
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        _say_cell0(_mapped_cell0(installation, api_db, arguments.database_connection))
    return 0


def _mapped_cell0(installation: Installation, api_db: Database, connection: str | None) -> setup.Mapped:
    chosen = connection or setup.cell0_connection(installation.connection("database"))
    return setup.map_cell0(api_db, chosen, local=installation.local_urls)


def _say_cell0(mapped: setup.Mapped) -> None:
    shown = shown_connection(mapped.cell)
    if mapped.is_new:
        print(f"cell0 is mapped to {shown}\nNext: nova-lite-manage db sync")
    else:
        print(f"cell0 is mapped already, to {shown}")


def _create_cell(installation: Installation, arguments: argparse.Namespace) -> int:
    transport_url = _transport_url(installation, arguments)
    connection = arguments.database_connection or installation.connection("database")
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        try:
            cell = setup.create_cell(
                api_db,
                name=arguments.name,
                transport_url=transport_url,
                connection=connection,
                is_disabled=arguments.disabled,
                local=installation.local_urls,
            )
        except errors.Conflict as exc:
            complain(exc.message)
            return _TAKEN
    if arguments.verbose:
        print(cell.uuid)
    else:
        print("The cell was added. Next: nova-lite-manage db sync --local_cell with its configuration, start its "
              "conductor and agents, then nova-lite-manage cell_v2 discover_hosts")  # fmt: skip
    return 0


def _transport_url(installation: Installation, arguments: argparse.Namespace) -> str:
    url: str | None = arguments.transport_url or installation.transport_url
    if url is None:
        raise errors.Misconfigured("Give --transport-url, or set transport_url in [DEFAULT].")
    return url


def _list_cells(installation: Installation, arguments: argparse.Namespace) -> int:
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        cells = setup.cells(api_db)
    columns = ("Name", "UUID", "Transport URL", "Database Connection", "Disabled")
    print(rendered(columns, [_cell_row(cell, verbose=arguments.verbose) for cell in cells], arguments.format))
    return 0


def _cell_row(cell: Cell, *, verbose: bool) -> Sequence[object]:
    transport_url, connection = cell.transport_url, cell.database_connection
    if not verbose:
        transport_url, connection = shown_transport_url(cell), shown_connection(cell)
    return (cell.name or "", cell.uuid, transport_url, connection, cell.is_disabled)


def _list_hosts(installation: Installation, arguments: argparse.Namespace) -> int:
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        names = {cell.uuid: cell.name or "" for cell in setup.cells(api_db)}
        hosts = setup.hosts_of(api_db, arguments.cell_uuid)
    rows = [(names.get(cell_uuid, ""), cell_uuid, host) for host, cell_uuid in hosts.items()]
    print(rendered(("Cell Name", "Cell UUID", "Hostname"), rows, arguments.format))
    return 0


def _discover_hosts(installation: Installation, arguments: argparse.Namespace) -> int:
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        found = setup.discover_hosts(
            api_db, arguments.cell_uuid, by_service=arguments.by_service, local=installation.local_urls
        )
    for discovery in found:
        _say_discovery(discovery, verbose=arguments.verbose)
    mapped = sum(len(discovery.mapped) for discovery in found)
    lost = sum(len(discovery.lost) for discovery in found)
    if any(discovery.failure for discovery in found):
        return _FAILED
    if lost:
        complain(f"{lost} hosts were mapped by somebody else at the same time; run it again to be sure of all.")
        return _LOST_RACE
    if mapped == 0 and arguments.strict:
        print("No unmapped host was found.")
        return _FAILED
    return 0


def _say_discovery(discovery: Discovery, *, verbose: bool) -> None:
    title = discovery.cell.name or discovery.cell.uuid
    if discovery.failure:
        complain(f"Cell {title} could not be looked at: {discovery.failure}")
        return
    for host, cell_uuid in discovery.elsewhere.items():
        complain(f"Host {host} reports to cell {title} but is mapped to cell {cell_uuid}; host names must be unique.")
    if verbose:
        for host in discovery.mapped:
            print(f"Host {host} is mapped to cell {title} now.")
    print(f"Cell {title}: {len(discovery.mapped)} hosts mapped.")


def _simple_cell_setup(installation: Installation, arguments: argparse.Namespace) -> int:
    transport_url = _transport_url(installation, arguments)
    transport_urls.checked(transport_url)
    connection = installation.connection("database")
    with installation.api_db() as api_db, opened("database of the cell", connection) as cell_db:
        migrate.require(api_db, "api")
        migrate.require(cell_db, "cell")
        _say_cell0(_mapped_cell0(installation, api_db, None))
        found = setup.find_or_create_cell(
            api_db, name="cell1", transport_url=transport_url, connection=connection, local=installation.local_urls
        )
        cell = found.cell
        print(f"Cell {cell.name or ''} {cell.uuid} " + ("was added." if found.is_new else "was there already."))
        reporting = setup.reporting_hosts(cell_db)
        discovery = setup.map_hosts(api_db, cell, reporting)
        _say_discovery(discovery, verbose=True)
        print(f"{setup.map_instances(api_db, cell, cell_db)} servers mapped.")
    if not reporting:
        complain("No host reports to the cell yet: start its conductor and agents, then run this again.")
        return _FAILED
    return 0
