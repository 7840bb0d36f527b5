"""``scheduler explain``: how a server's host was chosen, or why it got none, from the databases."""

import argparse
import json
import sys
from typing import Any

from nova_lite import errors
from nova_lite.cells.offline import CellDatabases
from nova_lite.cmd.arguments import Parser, add_command, add_format
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, reason, rendered
from nova_lite.db import migrate
from nova_lite.db.repositories import build_requests, instances, mappings
from nova_lite.model.explanation import Explanation, asked
from nova_lite.model.instance import Instance

_UNKNOWN, _NOTHING_YET, _BROKEN = 1, 2, 255


def add_commands(categories: Any) -> None:
    """Add the category."""
    commands = categories.add_parser("scheduler", help="where servers went, and why").add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    command = add_command(
        commands,
        "explain",
        _explain,
        "tell how a server's host was chosen, or why it got none",
        description="Reads what the scheduler noted with the server: each stage with the hosts that entered and were "
        "left, the hosts refused with the reason, what the nearest misses lack, and the ranking. Needs [api_database].",
        codes=f"0 told; {_UNKNOWN} there is no such server; {_NOTHING_YET} no host was looked for yet, or nothing was "
        f"noted; {_BROKEN} failed, or its cell does not answer",
        example="scheduler explain --uuid 6bb5f1f0-3a5b-4c6d-8e7f-102030405060",
    )
    command.add_argument("--uuid", "--instance_uuid", metavar="UUID", required=True, help="the server")
    add_format(command)


def _explain(installation: Installation, arguments: argparse.Namespace) -> int:
    try:
        found = _found(installation, arguments.uuid)
    except errors.NotFound as exc:
        complain(exc.message)
        return _UNKNOWN
    except errors.NovaLiteError as exc:
        complain(reason(exc))
        return _BROKEN
    if not found.scheduling:
        complain(f"Nothing was noted of how a host was looked for for server {found.uuid}.")
        return _NOTHING_YET
    if arguments.format == "json":
        fault = found.fault.message if found.fault else None
        print(json.dumps({"server": found.uuid, "host": found.host, "fault": fault, **found.scheduling}, indent=2))
    else:
        # Programs that read CSV find nothing but tables on standard output.
        told = sys.stderr if arguments.format == "csv" else sys.stdout
        print("\n".join(_words(found, found.scheduling)), file=told)
        print("\n".join(_tables(found.scheduling, arguments.format)))
    return 0


def _found(installation: Installation, uuid: str) -> Instance:
    """Return a server, deleted or not; raises NotFound, Unavailable when its cell does not answer."""
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        with api_db.reader() as session:
            mapping = mappings.instance(session, uuid)
            waiting = build_requests.get(session, uuid) if mapping.cell_uuid is None else None
        if waiting is not None:
            return waiting
        with CellDatabases(api_db, installation.local_urls) as cells:
            cell = next((cell for cell in cells.cells if cell.uuid == mapping.cell_uuid), None)
            database = None if cell is None else cells.database(cell)
            if database is None:
                why = cells.down.get(mapping.cell_uuid or "", "its cell is not mapped")
                raise errors.Unavailable(f"The cell of server {uuid} does not answer: {why}")
            with database.reader() as session:
                return instances.get(session, uuid, with_deleted=True)


def _words(server: Instance, explained: Explanation) -> list[str]:
    """Return what stands above the tables."""
    words = [f"Server {server.uuid} is on {server.host}." if server.host else f"Server {server.uuid} is on no host."]
    if server.fault is not None:
        words.append(server.fault.message)
    words += [f"{asked(each)}." for each in explained.get("prefilters", ())]
    return words + [f"Nearest: {each}." for each in explained["nearest"]]


def _tables(explained: Explanation, form: str) -> list[str]:
    """Return an explanation as one table a part."""
    stages = [(stage["name"], stage["entered"], stage["left"]) for stage in explained["stages"]]
    refused = [(stage["name"], host, why) for stage in explained["stages"] for host, why in stage["hosts"].items()]
    ranking = [
        (each["host"], each["weight"], " ".join(f"{name}={value}" for name, value in each["weighed"].items()))
        for each in explained["ranking"]
    ]
    parts = [rendered(("Stage", "Hosts entered", "Hosts left"), stages, form)]
    if refused:
        parts.append(rendered(("Stage", "Host refused", "Reason"), refused, form))
    if ranking:
        parts.append(rendered(("Host", "Weight", "Weighed"), ranking, form))
    return parts
