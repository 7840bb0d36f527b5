"""``cell_v2``: discover, list and delete the hosts of cells. The rules are in ``cells/setup.py`` and ``removal.py``."""

import argparse
from typing import Any

from nova_lite.cells import removal, setup
from nova_lite.cells.removal import Refusal
from nova_lite.cells.setup import Discovery
from nova_lite.cmd.arguments import add_cell_uuid, add_command, add_format
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, rendered
from nova_lite.db import migrate

_FAILED, _LOST_RACE = 1, 2
_REFUSALS = {Refusal.NO_CELL: 1, Refusal.NO_HOST: 2, Refusal.OTHER_CELL: 3, Refusal.HAS_SERVERS: 4}


def add_commands(commands: Any) -> None:
    """Add the commands to the category."""
    command = add_command(
        commands,
        "discover_hosts",
        _discover_hosts,
        "map the hosts that report to cells and are mapped to none",
        codes="0 done; 1 failed, or with --strict nothing was found; 2 somebody else mapped hosts at the same time: "
        "run it again",
        example="cell_v2 discover_hosts --verbose",
    )
    add_cell_uuid(command, "look in this cell only")
    command.add_argument("--strict", action="store_true", help="fail when no unmapped host is found")
    command.add_argument(
        "--by-service", action="store_true", help="take a host for one by its service, even without a compute node"
    )
    command.add_argument("--verbose", action="store_true", help="tell what is found where")

    command = add_command(
        commands,
        "list_hosts",
        _list_hosts,
        "list the mapped hosts",
        codes="0 done; 1 there is no such cell",
        example="cell_v2 list_hosts -f csv",
    )
    add_cell_uuid(command, "list the hosts of this cell only")
    add_format(command)

    command = add_command(
        commands,
        "delete_host",
        _delete_host,
        "take a host without servers away from its cell",
        description="Forgets the mapping of the host, and its place in aggregates. Stop its agent and delete its "
        "service first: a host that still reports is found again by discover_hosts.",
        codes="0 deleted; 1 there is no such cell, or it does not answer; 2 the host is not mapped; 3 it is mapped to "
        "another cell; 4 it has servers",
        example="cell_v2 delete_host --cell_uuid 0b5b4c6e-6d54-4d0e-9d5b-1f2f3a4b5c6d --host compute7",
    )
    add_cell_uuid(command, "the cell of the host", is_required=True)
    command.add_argument("--host", metavar="NAME", required=True, help="the host")


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
        say_discovery(discovery, verbose=arguments.verbose)
    if not found:
        print("No cell was looked at: cell0 has no hosts." if arguments.cell_uuid else "There is no cell but cell0.")
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


def say_discovery(discovery: Discovery, *, verbose: bool) -> None:
    """Tell what looking for hosts in one cell came to."""
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


def _delete_host(installation: Installation, arguments: argparse.Namespace) -> int:
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        refusal = removal.delete_host(api_db, arguments.cell_uuid, arguments.host, local=installation.local_urls)
    if refusal is not None:
        complain(f"Host {arguments.host} was not deleted. {refusal.value}")
        return _REFUSALS[refusal]
    print(f"Host {arguments.host} was deleted from cell {arguments.cell_uuid}.")
    return 0
