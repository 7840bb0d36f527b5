"""``nova-lite-scheduler``: run a scheduler."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.run`` for the exit codes."""
    return daemon.run(
        "nova-lite-scheduler", argv, "nova_lite.scheduler.service:Scheduler", "nova_lite.scheduler.meters:Meters"
    )


if __name__ == "__main__":
    sys.exit(main())
