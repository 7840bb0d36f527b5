"""``nova-lite-manage``: what operators do to an installation by hand.

One module a command group: ``manage_databases``, ``manage_cells``, ``manage_placement``. Exit codes are an
interface that automation depends on: 0 done, 1 failed; what else a command returns is in its help. 255 is a bug.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence

from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.cmd import manage_cells, manage_databases, manage_placement
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, reason

PROG = "nova-lite-manage"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    top = parser()
    arguments, unknown = top.parse_known_args(argv)
    if unknown:
        # Each command's own parser knows with which code it refuses.
        getattr(arguments, "parser", top).error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        conf = config.load(_config_arguments(arguments), prog=PROG)
        return int(arguments.run(Installation(conf), arguments))
    except errors.NovaLiteError as exc:
        return _failed(reason(exc))
    except cfg.Error as exc:
        return _failed(f"The configuration cannot be used: {exc}")
    except KeyboardInterrupt:
        return _failed("Stopped. Everything here may be run again.")
    except Exception:  # noqa: BLE001 - the outermost loop of this process
        traceback.print_exc()
        _failed("This is a bug; please report it with the lines above.")
        return 255


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(prog=PROG, description="Sets up and looks after a nova_lite installation.")
    top.add_argument(
        "--config-file",
        action="append",
        metavar="FILE",
        help=f"configuration file, may be given again; default {config.DEFAULT_FILE}",
    )
    top.add_argument(
        "--config-dir", action="append", metavar="DIR", help="directory of *.conf files, read after the files"
    )
    categories = top.add_subparsers(title="categories", metavar="CATEGORY", required=True)
    manage_databases.add_commands(categories)
    manage_cells.add_commands(categories)
    manage_placement.add_commands(categories)
    return top


def _config_arguments(arguments: argparse.Namespace) -> list[str]:
    files = [word for name in arguments.config_file or () for word in ("--config-file", name)]
    folders = [word for name in arguments.config_dir or () for word in ("--config-dir", name)]
    return files + folders


def _failed(message: str) -> int:
    complain(message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
