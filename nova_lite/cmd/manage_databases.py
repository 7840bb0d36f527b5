"""``api_db``, ``db`` and ``placement_db``: bring a database to a version, or tell which it is at."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from nova_lite import errors
from nova_lite.cells import setup, templates
from nova_lite.cmd import manage_archive, manage_online, manage_upgrade
from nova_lite.cmd.arguments import Paragraphs, Parser, add_command, add_format, sentence
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import one_line, shown_connection
from nova_lite.db import migrate
from nova_lite.db.migrate import History
from nova_lite.model.host import CELL0_UUID

#: Category → the option group that names its database, the history it follows, what to do after a sync.
_CATEGORIES: dict[str, tuple[str, History, str]] = {
    "api_db": ("api_database", "api", "nova-lite-manage cell_v2 map_cell0, then nova-lite-manage db sync"),
    "db": ("database", "cell", "nova-lite-manage cell_v2 create_cell, unless this cell has a mapping"),
    "placement_db": ("placement_database", "placement", "start the Placement API"),
}
#: What ``sync`` and ``version`` return when they are not done.
_FAILED = "1 failed; 2 the command line is wrong"


def add_commands(categories: Any) -> None:
    """Add the three categories."""
    for category, (group, history, _) in _CATEGORIES.items():
        title = migrate.TITLES[history]
        commands = categories.add_parser(category, help=f"the {title}, named by [{group}] connection").add_subparsers(
            title="commands", metavar="COMMAND", required=True, parser_class=Parser
        )
        about = "create the tables or bring them up to date"
        sync = commands.add_parser(
            "sync",
            help=about,
            description=f"{sentence(about)}\n\nBrings the {title} to VERSION. May be run again, also by several.",
            epilog=f"Exit codes: 0 done; {_FAILED}.",
            formatter_class=Paragraphs,
        )
        sync.add_argument(
            "version", nargs="?", metavar="VERSION", help="version to stop at, never an older one; default the newest"
        )
        if category == "db":
            sync.add_argument(
                "--local_cell",
                "--local-cell",
                action="store_true",
                help="leave cell0 alone and open no API database: for the databases of cells",
            )
            sync.epilog = "Exit codes: 0 done; 1 failed, or cell0 could not be reached; 2 the command line is wrong."
        sync.set_defaults(run=_bound(_sync, category))
        about = "print the version the database is at"
        show = commands.add_parser(
            "version", help=about, description=sentence(about), epilog=f"Exit codes: 0 told; {_FAILED}."
        )
        show.set_defaults(run=_bound(_version, category))
        if category == "db":
            manage_archive.add_commands(commands)
            manage_online.add_to_cells(commands)
        if category == "placement_db":
            manage_online.add_to_placement(commands)
            _add_upgrade_check(commands)


def _add_upgrade_check(commands: Any) -> None:
    command = add_command(
        commands,
        "upgrade_check",
        manage_upgrade.run,
        "tell whether the Placement of this release may start on what is there",
        description="Looks at the policy file, the version of the tables, the standard names, online data migrations "
        "that were not run to the end, and allocations without an owner. Changes nothing. Run it after a sync, before "
        "Placement starts.",
        codes="0 all is well; 1 something should be looked at; 2 something must be mended first",
        example="placement_db upgrade_check",
    )
    add_format(command)


def _bound(
    command: Callable[[str, Installation, argparse.Namespace], int], category: str
) -> Callable[[Installation, argparse.Namespace], int]:
    def run(installation: Installation, arguments: argparse.Namespace) -> int:
        return command(category, installation, arguments)

    return run


def _sync(category: str, installation: Installation, arguments: argparse.Namespace) -> int:
    group, history, afterwards = _CATEGORIES[category]
    _sync_one(migrate.TITLES[history], installation.connection(group), history, arguments.version)
    if category == "db" and not arguments.local_cell:
        return _sync_cell0(installation, arguments.version)
    print(f"Next: {afterwards}")
    return 0


def _sync_one(title: str, connection: str, history: History, version: str | None) -> None:
    with opened(title, connection) as database:
        done = migrate.sync(database, history, version)
    if not done.is_changed:
        print(f"The {title} is at version {done.after} already.")
    elif done.before is None:
        print(f"The {title} was created, at version {done.after}.")
    else:
        print(f"The {title} went from version {done.before} to {done.after}.")


def _sync_cell0(installation: Installation, version: str | None) -> int:
    """Sync cell0's database too, if it is mapped."""
    try:
        with installation.api_db() as api_db:
            if migrate.version(api_db, "api") is None:
                raise errors.Misconfigured("The API database has no tables yet.")
            [cell0] = setup.cells(api_db, CELL0_UUID)
    except errors.NotFound:
        print("cell0 is not mapped, so its database was not synced. Next: nova-lite-manage cell_v2 map_cell0, "
              "then nova-lite-manage db sync again")  # fmt: skip
        return 0
    except (errors.Unavailable, errors.Misconfigured) as exc:
        return _no_cell0(f"{exc.message} cell0 could not be looked up.")
    try:
        connection = templates.connection(cell0, installation.local_urls)
        _sync_one("database of cell0", connection, "cell", version)
    except errors.NovaLiteError as exc:
        return _no_cell0(f"{exc.message} This was cell0's, at {shown_connection(cell0)}.")
    print(f"Next: {_CATEGORIES['db'][2]}")
    return 0


def _no_cell0(why: str) -> int:
    print(f"nova-lite-manage: {one_line(why)} The main database is synced; for a cell's database alone "
          "use: nova-lite-manage db sync --local_cell", file=sys.stderr)  # fmt: skip
    return 1


def _version(category: str, installation: Installation, arguments: argparse.Namespace) -> int:
    group, history, _ = _CATEGORIES[category]
    with opened(migrate.TITLES[history], installation.connection(group)) as database:
        print(migrate.version(database, history) or "none: never synced")
    return 0
