"""``placement_db upgrade_check``: may the Placement of this release start on what is there?"""

import argparse

from nova_lite import errors
from nova_lite.cmd import checks
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import reason
from nova_lite.db import migrate
from nova_lite.model.checks import Check, Level
from nova_lite.placement import upgrade
from nova_lite.placement.online_migrations import STEPS


def run(installation: Installation, arguments: argparse.Namespace) -> int:
    """Check everything, and return the worst."""
    found = [checks.policy(installation.placement_policy), *_database(installation)]
    return checks.told(found, arguments.format)


def _database(installation: Installation) -> list[Check]:
    title = "tables"
    try:
        with opened("Placement database", installation.connection("placement_database")) as database:
            migrate.require(database, "placement")
            return [Check(title, Level.SUCCESS), *upgrade.checks(database, STEPS)]
    except (errors.Misconfigured, errors.Unavailable) as exc:
        return [Check(title, Level.FAILURE, reason(exc))]
