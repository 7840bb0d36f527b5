"""``nova-lite-manage``: what operators do to an installation by hand.

One module a command group: ``manage_databases``, ``manage_cells``, ``manage_placement``, ``manage_scheduler``,
``manage_volumes``, ``manage_cloud_audit``. Exit codes are an interface that automation depends on: 0 done, 1 failed;
what else a command returns is in its help. 255 is a bug.
"""

import argparse
import sys
from collections.abc import Sequence

from nova_lite.cmd import (
    manage_cells,
    manage_cloud_audit,
    manage_databases,
    manage_placement,
    manage_scheduler,
    manage_volumes,
    program,
)
from nova_lite.cmd.arguments import Parser

PROG = "nova-lite-manage"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    return program.run(parser(), argv, failed=1)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(prog=PROG, description="Set up and look after a nova_lite installation.")
    program.add_config_arguments(top)
    categories = top.add_subparsers(title="categories", metavar="CATEGORY", required=True, parser_class=Parser)
    manage_databases.add_commands(categories)
    manage_cells.add_commands(categories)
    manage_placement.add_commands(categories)
    manage_scheduler.add_commands(categories)
    manage_volumes.add_commands(categories)
    manage_cloud_audit.add_commands(categories)
    return top


if __name__ == "__main__":
    sys.exit(main())
