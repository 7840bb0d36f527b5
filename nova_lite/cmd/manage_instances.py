"""``cell_v2``: map the servers of a cell, verify where one is. The rules are in ``cells/instance_mapping.py``."""

import argparse
from typing import Any

from nova_lite import errors
from nova_lite.cells import instance_mapping, setup, templates
from nova_lite.cells.instance_mapping import Verdict
from nova_lite.cells.offline import CellDatabases
from nova_lite.cmd.arguments import add_cell_uuid, add_command, count
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import complain, reason
from nova_lite.cmd.progress import Progress
from nova_lite.db import migrate

_MORE, _BROKEN = 1, 255
_VERDICTS = {Verdict.FINE: 0, Verdict.UNMAPPED: 1, Verdict.NO_CELL: 2, Verdict.DELETED: 3, Verdict.ARCHIVED: 4}


def add_commands(commands: Any) -> None:
    """Add the commands to the category."""
    command = add_command(
        commands,
        "map_instances",
        _map_instances,
        "map the servers of a cell that are mapped nowhere",
        description="Looks at the cell's live servers in the order they were made, 50 a transaction, and notes how far "
        "it came: the next run goes on there. May be stopped at any time; several at once share the work.",
        codes="0 all were looked at; 1 there are more: run it again; 255 failed, or there is no such cell",
        example="cell_v2 map_instances --cell_uuid 0b5b4c6e-6d54-4d0e-9d5b-1f2f3a4b5c6d --max-count 10000",
    )
    add_cell_uuid(command, "the cell", is_required=True)
    command.add_argument(
        "--max-count", "--max_count", metavar="N", type=count, help="look at N servers at most, by default at all"
    )
    command.add_argument("--reset", action="store_true", help="begin anew with the oldest server")

    command = add_command(
        commands,
        "verify_instance",
        _verify_instance,
        "tell whether a server is where its mapping says",
        codes="0 it is; 1 the server is not mapped; 2 no cell was chosen for it yet; 3 it was deleted and is still "
        "mapped; 4 its cell has no record of it any more; 255 failed, or its cell does not answer",
        example="cell_v2 verify_instance --uuid 6bb5f1f0-3a5b-4c6d-8e7f-102030405060",
    )
    command.add_argument("--uuid", "--instance_uuid", metavar="UUID", required=True, help="the server")
    command.add_argument("--quiet", action="store_true", help="say it by the exit code only")


def _map_instances(installation: Installation, arguments: argparse.Namespace) -> int:
    try:
        with installation.api_db() as api_db:
            migrate.require(api_db, "api")
            [cell] = setup.cells(api_db, arguments.cell_uuid)
            connection = templates.connection(cell, installation.local_urls)
            with opened(f"database of cell {setup.title(cell)}", connection) as cell_db:
                migrate.require(cell_db, "cell")
                done = instance_mapping.map_instances(
                    api_db,
                    cell_db,
                    cell,
                    max_count=arguments.max_count,
                    is_reset=arguments.reset,
                    tell=Progress("nova-lite-manage cell_v2 map_instances"),
                )
    except errors.NovaLiteError as exc:
        # Not 1, for scripts run this again as long as it says 1.
        complain(reason(exc))
        return _BROKEN
    more = " There are more: run it again." if done.has_more else ""
    print(f"{done.looked_at} servers looked at, {done.mapped} mapped.{more}")
    return _MORE if done.has_more else 0


def _verify_instance(installation: Installation, arguments: argparse.Namespace) -> int:
    try:
        with installation.api_db() as api_db:
            migrate.require(api_db, "api")
            with CellDatabases(api_db, installation.local_urls) as cells:
                verdict, cell = instance_mapping.verify(api_db, cells, arguments.uuid)
    except errors.NovaLiteError as exc:
        complain(reason(exc))
        return _BROKEN
    if not arguments.quiet:
        print(f"Server {arguments.uuid} {verdict.value.format(cell=cell)}")
    return _VERDICTS[verdict]
