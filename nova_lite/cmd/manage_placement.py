"""``placement``: what the databases and Placement must agree on. The rules: ``cells/``, ``scheduler/healing.py``, …

These commands return 127 for a wrong command line: 2 means something of their own.
"""

import argparse
from collections.abc import Callable
from typing import Any

from nova_lite.cmd import manage_aggregates, manage_audit, manage_healing
from nova_lite.cmd.arguments import Parser, add_command, add_format, add_verbose, count, uuid
from nova_lite.cmd.installation import Installation

Run = Callable[[Installation, argparse.Namespace], int]


def add_commands(categories: Any) -> None:
    """Add the category."""
    commands = categories.add_parser("placement", help="allocations, and the books of Placement").add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    _add_audit(commands)
    _add_healing(commands)
    _add_aggregates(commands)


def _add_audit(commands: Any) -> None:
    command = add_command(
        commands,
        "audit",
        manage_audit.run,
        "find allocations that belong to nobody, and contradictions in Placement's database",
        description="Looks for orphaned allocations: their consumer is no live server of any cell, and none that is "
        "being made or worked on. Asks Placement over HTTP; needs [api_database] and [placement]. Every orphan is "
        "looked at twice, and one whose cell does not answer is not judged.\n\n"
        "Looks for books that contradict themselves: counters, inventories, consumers, trees. Needs "
        "[placement_database]. 'over' in the result is no contradiction: inventory was shrunk below what is in use.\n\n"
        "What is not configured here is left out, and said. May run beside any load, twice at once, and again.",
        example="placement audit --delete --repair",
        codes="0 nothing is wrong; 1 failed, or some allocations could not be judged; 3 orphaned "
        "allocations were found, and are still there; 4 all that was found was deleted or repaired; 5 the books of "
        "Placement contradict themselves, and still do; 127 the command line is wrong, or there is no such provider",
    )
    command.add_argument("--delete", action="store_true", help="delete the orphaned allocations, of each consumer all")
    command.add_argument(
        "--repair",
        action="store_true",
        help="recount wrong counters, put roots right, drop consumers that hold nothing; the rest is only told",
    )
    command.add_argument(
        "--resource_provider",
        "--resource-provider",
        metavar="UUID",
        type=uuid,
        help="look at this resource provider only",
    )
    add_verbose(command, "name the allocations that could not be judged, and those of others")
    add_format(command)


def _add_healing(commands: Any) -> None:
    command = add_command(
        commands,
        "heal_allocations",
        manage_healing.run,
        "make the allocations that servers lack",
        description="Looks at every live server that is on a host, in each cell but cell0, and makes the allocations "
        "it lacks, as the scheduler would have made them for its flavor; allocations in the name of another project or "
        "user are put into its own. Needs [api_database] and [placement].\n\n"
        "Servers that something is being done to are skipped, and said. One that fails does not keep the others from "
        "being healed. May run beside any load, twice at once, and again after it was stopped: who is healed needs "
        "nothing any more.\n\n"
        "Of a host that is a tree of providers, each gives what Placement says it has room for. Left out: ports that "
        "take bandwidth, for servers have none yet (so codes 5, 6 and 7 are never returned), and migrations, which "
        "'audit' looks at.",
        example="placement heal_allocations --dry-run --verbose",
        codes="0 all were healed that needed it; 1 --max-count was reached, there may be more; 2 the "
        "compute node of a server is not known in its cell; 3 Placement refused the allocations of a server, and the "
        "table says why; 4 nothing was written, for nothing needed it or --dry-run was given; 127 the command line is "
        "wrong, or there is no such server or cell; 255 a database or Placement does not answer",
    )
    command.add_argument(
        "--max-count", "--max_count", metavar="N", type=count, help="stop after N servers that needed healing"
    )
    command.add_argument("--dry-run", "--dry_run", action="store_true", help="tell what would be done, and do nothing")
    command.add_argument("--instance", metavar="UUID", type=uuid, help="look at this server only")
    command.add_argument("--cell", metavar="UUID", type=uuid, help="look at the servers of this cell only")
    command.add_argument(
        "--skip-port-allocations",
        "--skip_port_allocations",
        action="store_true",
        help="leave ports out; they are never looked at yet, so this changes nothing",
    )
    command.add_argument(
        "--force",
        action="store_true",
        help="with --instance: overwrite what the server holds where that is not what its flavor takes",
    )
    add_verbose(command, "list the servers that needed nothing, too")
    add_format(command)


def _add_aggregates(commands: Any) -> None:
    command = add_command(
        commands,
        "sync_aggregates",
        manage_aggregates.run,
        "mirror host aggregates to Placement",
        description="Puts the resource provider of each host into the aggregates that the host is in, as the API "
        "database has them. Takes no provider out of an aggregate. Needs [api_database] and [placement]. May run twice "
        "at once, and again.\n\n"
        "One host that cannot be told does not keep the others from being told.",
        example="placement sync_aggregates --verbose",
        codes="0 all is mirrored; 1 a host has several compute nodes; 2 Placement does not answer, or "
        "refuses; 3 a provider changed again and again while it was told; 4 a host is mapped to no cell; 5 a host has "
        "no compute node; 6 a host has no resource provider; of several of these the lowest; 255 a database does "
        "not answer",
    )
    add_verbose(command, "list the hosts that needed nothing, too")
    add_format(command)
