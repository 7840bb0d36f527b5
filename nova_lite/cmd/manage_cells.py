"""``cell_v2``: map cell0; add, change, list and delete cells. The rules are in ``cells/setup.py`` and ``removal.py``.

What concerns their hosts and servers is in ``manage_hosts.py`` and ``manage_instances.py``.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from nova_lite import errors
from nova_lite.cells import removal, setup, templates
from nova_lite.cells.instance_mapping import map_instances
from nova_lite.cells.removal import Refusal
from nova_lite.cmd import manage_hosts, manage_instances
from nova_lite.cmd.arguments import Parser, add_cell_uuid, add_command, add_connection, add_format, add_transport_url
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.manage_hosts import say_discovery
from nova_lite.cmd.output import complain, reason, rendered, shown_connection, shown_transport_url
from nova_lite.db import migrate
from nova_lite.model.host import Cell
from nova_lite.rpc import transport_url as transport_urls
from nova_lite.storage import Database

_FAILED, _TAKEN = 1, 2
_BAD_VALUE, _SAME_AS_ANOTHER, _BOTH_FLAGS, _IS_CELL0 = 2, 3, 4, 5
_REFUSALS = {
    Refusal.NO_CELL: 1,
    Refusal.HAS_HOSTS: 2,
    Refusal.HAS_LIVE_SERVERS: 3,
    Refusal.HAS_DEAD_SERVERS: 4,
}
_HOLES = (
    "URLs may have holes, as in mysql+pymysql://{username}:{password}@db2/nova: every process fills them from its "
    "own [DEFAULT] transport_url and [database] connection."
)


def add_commands(categories: Any) -> None:
    """Add the category."""
    commands = categories.add_parser("cell_v2", help="cells, their hosts and servers").add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    _add_setup(commands)
    _add_changes(commands)
    manage_hosts.add_commands(commands)
    manage_instances.add_commands(commands)


def _add_setup(commands: Any) -> None:
    command = add_command(
        commands,
        "simple_cell_setup",
        _simple_cell_setup,
        "map cell0 and one cell with all its hosts and servers",
        codes="0 done; 1 a bad URL, or no host reports to the cell yet",
        example="cell_v2 simple_cell_setup",
    )
    add_transport_url(command, "by default that of [DEFAULT] transport_url")

    command = add_command(
        commands,
        "map_cell0",
        _map_cell0,
        "map cell0, where servers go that no host can take",
        codes="0 mapped, now or before; 1 failed",
        example="cell_v2 map_cell0",
    )
    add_connection(command, "by default that of [database] with _cell0 after the database's name")

    command = add_command(
        commands,
        "map_cell_and_hosts",
        _map_cell_and_hosts,
        "add a cell with the hosts that report to it",
        description="Adds the cell whose database is that of [database], unless there is one with this database and "
        "this bus, and maps the hosts that report to it and are mapped to none.",
        codes="0 done, now or before; 1 a URL is missing, wrong or another cell's, or no host reports to the cell yet",
        example="cell_v2 map_cell_and_hosts --name cell1",
    )
    command.add_argument("--name", help="what people call the cell")
    add_transport_url(command, "by default that of [DEFAULT] transport_url")
    command.add_argument("--verbose", action="store_true", help="print the cell's UUID, and what is mapped")


def _add_changes(commands: Any) -> None:
    command = add_command(
        commands,
        "create_cell",
        _create_cell,
        "add a cell",
        description=_HOLES,
        codes="0 added; 1 a URL is missing or wrong; 2 another cell has this bus or this database",
        example="cell_v2 create_cell --name cell2 --transport-url rabbit://nova:secret@mq/cell2 "
        "--database_connection mysql+pymysql://nova:secret@db/nova_cell2",
    )
    command.add_argument("--name", help="what people call the cell")
    add_transport_url(command, "by default that of [DEFAULT] transport_url")
    add_connection(command, "by default that of [database]")
    command.add_argument("--verbose", action="store_true", help="print the new cell's UUID")
    command.add_argument("--disabled", action="store_true", help="place no servers there yet")

    command = add_command(
        commands,
        "list_cells",
        _list_cells,
        "list the cells",
        codes="0 done; 1 failed",
        example="cell_v2 list_cells -f json",
    )
    command.add_argument("--verbose", action="store_true", help="show URLs with their passwords")
    add_format(command)

    command = add_command(
        commands,
        "update_cell",
        _update_cell,
        "change a cell",
        description=f"What is not given stays as it is. Running processes see the change within seconds. {_HOLES}",
        codes="0 changed; 1 there is no such cell, or it failed; 2 a bad value, or nothing to change; 3 another cell "
        "has this bus or this database; 4 both --disable and --enable; 5 cell0 can neither be disabled nor have a bus",
        example="cell_v2 update_cell --cell_uuid 0b5b4c6e-6d54-4d0e-9d5b-1f2f3a4b5c6d --disable",
    )
    add_cell_uuid(command, "the cell", is_required=True)
    command.add_argument("--name", help="what people call the cell from now on")
    add_transport_url(command, "if that changes")
    add_connection(command, "if that changes")
    command.add_argument("--disable", action="store_true", help="place no more servers there")
    command.add_argument("--enable", action="store_true", help="place servers there again")

    command = add_command(
        commands,
        "delete_cell",
        _delete_cell,
        "delete a cell that has no servers",
        description="Forgets the cell; its database and its bus stay. A cell that servers are mapped to must answer, "
        "so that it is known that they are dead. Disable it first, so that no servers are placed there meanwhile.",
        codes="0 deleted; 1 there is no such cell, it is cell0, or it failed; 2 it has hosts; 3 it has servers; 4 "
        "servers that were deleted are still mapped to it, and --force was not given",
        example="cell_v2 delete_cell --cell_uuid 0b5b4c6e-6d54-4d0e-9d5b-1f2f3a4b5c6d --force",
    )
    add_cell_uuid(command, "the cell", is_required=True)
    command.add_argument("--force", action="store_true", help="forget its hosts and its dead servers, too")


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
    _warn_of_silence(installation, cell)
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


def _update_cell(installation: Installation, arguments: argparse.Namespace) -> int:
    if arguments.disable and arguments.enable:
        complain("Give --disable or --enable, not both.")
        return _BOTH_FLAGS
    given = (arguments.name, arguments.transport_url, arguments.database_connection)
    is_disabled = True if arguments.disable else False if arguments.enable else None
    if is_disabled is None and all(value is None for value in given):
        complain("Say what to change: --name, --transport-url, --database_connection, --disable or --enable.")
        return _BAD_VALUE
    if "" in given:
        complain("A cell's name and URLs cannot be empty.")
        return _BAD_VALUE
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        try:
            cell = setup.update_cell(
                api_db,
                arguments.cell_uuid,
                name=arguments.name,
                transport_url=arguments.transport_url,
                connection=arguments.database_connection,
                is_disabled=is_disabled,
                local=installation.local_urls,
            )
        except (errors.Conflict, errors.Forbidden, errors.Invalid, errors.Misconfigured) as exc:
            complain(reason(exc))
            return {errors.Conflict: _SAME_AS_ANOTHER, errors.Forbidden: _IS_CELL0}.get(type(exc), _BAD_VALUE)
    if arguments.database_connection:
        _warn_of_silence(installation, cell)
    print(f"Cell {setup.title(cell)} was changed: bus {shown_transport_url(cell)}, database {shown_connection(cell)}, "
          f"{'disabled' if cell.is_disabled else 'enabled'}.")  # fmt: skip
    return 0


def _warn_of_silence(installation: Installation, cell: Cell) -> None:
    """Tell when the database of a new mapping does not answer, which may be meant. A file would be made by asking."""
    database = Database(templates.connection(cell, installation.local_urls))
    try:
        if not database.is_sqlite:
            database.ping()
    except errors.Unavailable as exc:
        complain(f"Mind that the database of the cell at {shown_connection(cell)} does not answer: "
                 f"{exc.facts.get('cause') or exc.message}")  # fmt: skip
    finally:
        database.close()


def _delete_cell(installation: Installation, arguments: argparse.Namespace) -> int:
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        refusal = removal.delete_cell(
            api_db, arguments.cell_uuid, is_forced=arguments.force, local=installation.local_urls
        )
    if refusal is not None:
        complain(f"Cell {arguments.cell_uuid} was not deleted. {refusal.value}")
        return _REFUSALS[refusal]
    print(f"Cell {arguments.cell_uuid} was deleted. Its database stays.")
    return 0


def _simple_cell_setup(installation: Installation, arguments: argparse.Namespace) -> int:
    return _set_up(installation, arguments, name="cell1", is_whole=True)


def _map_cell_and_hosts(installation: Installation, arguments: argparse.Namespace) -> int:
    return _set_up(installation, arguments, name=arguments.name, is_whole=False)


def _set_up(installation: Installation, arguments: argparse.Namespace, *, name: str | None, is_whole: bool) -> int:
    """Map a cell with its hosts; ``is_whole`` with cell0 and its servers, too."""
    transport_url = _transport_url(installation, arguments)
    transport_urls.checked(transport_url)
    connection = installation.connection("database")
    with installation.api_db() as api_db, opened("database of the cell", connection) as cell_db:
        migrate.require(api_db, "api")
        migrate.require(cell_db, "cell")
        reporting = setup.reporting_hosts(cell_db)
        if is_whole:
            _say_cell0(_mapped_cell0(installation, api_db, None))
        if is_whole or reporting:
            found = setup.find_or_create_cell(
                api_db, name=name, transport_url=transport_url, connection=connection, local=installation.local_urls
            )
            _say_found(found, is_bare=not is_whole and arguments.verbose)
            say_discovery(setup.map_hosts(api_db, found.cell, reporting), verbose=is_whole or arguments.verbose)
        if is_whole:
            print(f"{map_instances(api_db, cell_db, found.cell, is_reset=True).mapped} servers mapped.")
    if not reporting:
        complain("No host reports to the cell yet: start its conductor and agents, then run this again.")
        return _FAILED
    return 0


def _say_found(found: setup.Mapped, *, is_bare: bool) -> None:
    if is_bare:
        print(found.cell.uuid)
    else:
        print(
            f"Cell {found.cell.name or ''} {found.cell.uuid} "
            + ("was added." if found.is_new else "was there already.")
        )
