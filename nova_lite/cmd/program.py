"""What the programs for operators share: their configuration arguments, and what becomes of a failure."""

import argparse
import traceback
from collections.abc import Sequence

from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, reason

#: The code of a bug.
_BUG = 255


def add_config_arguments(top: argparse.ArgumentParser) -> None:
    """Let the user say which configuration to read."""
    top.add_argument(
        "--config-file",
        action="append",
        metavar="FILE",
        help=f"configuration file, may be given again; default {config.DEFAULT_FILE}",
    )
    top.add_argument(
        "--config-dir", action="append", metavar="DIR", help="directory of *.conf files, read after the files"
    )


def run(top: argparse.ArgumentParser, argv: Sequence[str] | None, *, failed: int) -> int:
    """Run the command that the command line names; return its exit code, ``failed`` when it raises."""
    arguments, unknown = top.parse_known_args(argv)
    if unknown:
        # Each command's own parser knows with which code it refuses.
        getattr(arguments, "parser", top).error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        conf = config.load(_config_arguments(arguments), prog=top.prog)
        return int(arguments.run(Installation(conf), arguments))
    except errors.NovaLiteError as exc:
        complain(reason(exc), top.prog)
        return failed
    except cfg.Error as exc:
        complain(f"The configuration cannot be used: {exc}", top.prog)
        return failed
    except KeyboardInterrupt:
        complain("Stopped. Everything here may be run again.", top.prog)
        return failed
    except Exception:  # noqa: BLE001 - the outermost loop of this process
        traceback.print_exc()
        complain("This is a bug; please report it with the lines above.", top.prog)
        return _BUG


def _config_arguments(arguments: argparse.Namespace) -> list[str]:
    files = [word for name in arguments.config_file or () for word in ("--config-file", name)]
    folders = [word for name in arguments.config_dir or () for word in ("--config-dir", name)]
    return files + folders
