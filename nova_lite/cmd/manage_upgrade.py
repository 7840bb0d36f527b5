"""``placement_db upgrade_check``: may the Placement of this release start on what is there?"""

import argparse

from nova_lite import errors
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import reason, rendered
from nova_lite.db import migrate
from nova_lite.model.checks import Check, Level
from nova_lite.placement import upgrade
from nova_lite.placement.online_migrations import STEPS


def run(installation: Installation, arguments: argparse.Namespace) -> int:
    """Check everything, and return the worst."""
    found = [_policy(installation), *_database(installation)]
    rows = [(check.name, check.level.name.lower(), check.details) for check in found]
    print(rendered(("Check", "Result", "Details"), rows, arguments.format))
    return int(max(check.level for check in found))


def _policy(installation: Installation) -> Check:
    try:
        installation.placement_policy()
    except errors.Misconfigured as exc:
        return Check("policy file", Level.FAILURE, reason(exc))
    return Check("policy file", Level.SUCCESS)


def _database(installation: Installation) -> list[Check]:
    title = "tables"
    try:
        with opened("Placement database", installation.connection("placement_database")) as database:
            migrate.require(database, "placement")
            return [Check(title, Level.SUCCESS), *upgrade.checks(database, STEPS)]
    except (errors.Misconfigured, errors.Unavailable) as exc:
        return [Check(title, Level.FAILURE, reason(exc))]
