"""``nova-lite-compute``: run the agent of a hypervisor host."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.run`` for the exit codes."""
    return daemon.run("nova-lite-compute", argv, "nova_lite.compute.service:Agent", "nova_lite.compute.meters:Meters")


if __name__ == "__main__":
    sys.exit(main())
