"""``nova-lite-status``: may this installation be upgraded, or run, as it is? It looks, and changes nothing.

The checks of databases and cells are in ``cells/upgrade.py``; Placement's own are ``nova-lite-manage placement_db
upgrade_check``.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from nova_lite import errors
from nova_lite.cells import upgrade
from nova_lite.cells.offline import CellDatabases
from nova_lite.clients.placement import NEEDED_VERSION
from nova_lite.clients.volume_calls import chosen_of, lacks, text_of
from nova_lite.cmd import checks, program
from nova_lite.cmd.arguments import Parser, add_command, add_format
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import reason
from nova_lite.db import migrate
from nova_lite.db.online_migrations import API_STEPS, CELL_STEPS
from nova_lite.model.checks import Check, Level

PROG = "nova-lite-status"
_UNEXPECTED = 255


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    return program.run(parser(), argv, failed=_UNEXPECTED)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(prog=PROG, description="Tell how an installation is.")
    program.add_config_arguments(top)
    categories = top.add_subparsers(title="categories", metavar="CATEGORY", required=True)
    commands = categories.add_parser("upgrade", help="upgrades").add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    command = add_command(
        commands,
        "check",
        _check,
        "tell whether this release may run on what is there",
        description="Looks at the policy file, the tables of the API database and of every cell, the mappings of cells "
        "and hosts, online data migrations that were not run to the end, services that are down or too old, the "
        "version of Placement, and that of the block storage service and the service user, where they are "
        "configured. Changes nothing. Run it with the configuration of the API: after the new release is installed and "
        "the databases are synced, before its services start.",
        codes="0 all is well; 1 something should be looked at; 2 something must be mended first; 255 the configuration "
        "cannot be read, or something unexpected happened",
        example="upgrade check -f json",
    )
    add_format(command)
    return top


def _check(installation: Installation, arguments: argparse.Namespace) -> int:
    """Check everything, and return the worst."""
    found = [
        checks.policy(installation.compute_policy),
        *_databases(installation),
        _placement(installation),
        _cinder(installation),
        _service_user(installation),
    ]
    return checks.told(found, arguments.format)


def _databases(installation: Installation) -> Iterator[Check]:
    title = "API database"
    try:
        with installation.api_db() as api_db:
            migrate.require(api_db, "api")
            yield Check(title, Level.SUCCESS)
            title = "cells"
            with CellDatabases(api_db, installation.local_urls) as cells:
                yield upgrade.cells_mapped(cells)
                yield upgrade.cell_databases(cells)
                yield upgrade.hosts_mapped(api_db, cells)
                yield from upgrade.services(cells, down_after_s=installation.service_down_time_s)
                yield upgrade.online_migrations(api_db, cells, API_STEPS, CELL_STEPS)
    except (errors.Misconfigured, errors.Unavailable) as exc:
        yield Check(title, Level.FAILURE, reason(exc))


def _placement(installation: Installation) -> Check:
    title = "Placement"
    if not installation.has_placement:
        return Check(title, Level.FAILURE, "Not configured in [placement]; no server is placed without it.")
    try:
        version = installation.placement().newest_version()
    except errors.NovaLiteError as exc:
        return Check(title, Level.FAILURE, reason(exc))
    if _numbers(version) < _numbers(NEEDED_VERSION):
        details = f"It speaks {version}, this release needs {NEEDED_VERSION}; upgrade it first"
        return Check(title, Level.FAILURE, details)
    return Check(title, Level.SUCCESS, f"speaks {version}")


def _cinder(installation: Installation) -> Check:
    title = "block storage"
    if not installation.has_cinder:
        return Check(title, Level.SUCCESS, "not configured in [cinder], so not looked at")
    try:
        version = installation.cinder_version()
        chosen = chosen_of(version)
    except errors.NovaLiteError as exc:
        return Check(title, Level.FAILURE, reason(exc))
    lacking = lacks(chosen)
    details = f"speaks {text_of(version)}, asked at {text_of(chosen)}{lacking}"
    return Check(title, Level.WARNING if lacking else Level.SUCCESS, details)


def _service_user(installation: Installation) -> Check:
    title = "service user"
    if installation.has_service_user:
        return Check(title, Level.SUCCESS)
    if installation.has_cinder:
        details = "Not configured in [service_user]; volumes need its token, so that nobody else detaches them."
        return Check(title, Level.FAILURE, details)
    return Check(title, Level.SUCCESS, "not configured in [service_user]; needed as soon as [cinder] is")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    sys.exit(main())
