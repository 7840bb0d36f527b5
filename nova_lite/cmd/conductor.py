"""``nova-lite-conductor``: run a conductor."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.run`` for the exit codes."""
    return daemon.run(
        "nova-lite-conductor", argv, "nova_lite.conductor.service:Conductor", "nova_lite.conductor.meters:Meters"
    )


if __name__ == "__main__":
    sys.exit(main())
