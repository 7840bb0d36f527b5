"""``nova-lite-compute``: run the agent of a hypervisor host."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon

ABOUT = "Run the agent of a hypervisor host."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.EXIT_CODES``."""
    return daemon.run(
        "nova-lite-compute",
        ABOUT,
        argv,
        service_name="nova_lite.compute.service:Agent",
        meters_name="nova_lite.compute.meters:Meters",
    )


if __name__ == "__main__":
    sys.exit(main())
