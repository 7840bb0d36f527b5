"""``nova-lite-scheduler``: run a scheduler."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon

ABOUT = "Run a scheduler, which chooses hosts for servers."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.EXIT_CODES``."""
    return daemon.run(
        "nova-lite-scheduler",
        ABOUT,
        argv,
        service_name="nova_lite.scheduler.service:Scheduler",
        meters_name="nova_lite.scheduler.meters:Meters",
    )


if __name__ == "__main__":
    sys.exit(main())
