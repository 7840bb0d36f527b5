"""``nova-lite-conductor``: run a conductor."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon

ABOUT = "Run a conductor: the super conductor where [api_database] connection is set, else that of a cell."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.EXIT_CODES``."""
    return daemon.run(
        "nova-lite-conductor",
        ABOUT,
        argv,
        service_name="nova_lite.conductor.service:Conductor",
        meters_name="nova_lite.conductor.meters:Meters",
    )


if __name__ == "__main__":
    sys.exit(main())
