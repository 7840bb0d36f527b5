"""``nova-lite-console-proxy``: run a console proxy."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon

ABOUT = "Run a console proxy, which connects browsers to consoles of guests."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.EXIT_CODES``."""
    return daemon.run(
        "nova-lite-console-proxy",
        ABOUT,
        argv,
        service_name="nova_lite.console.service:ConsoleProxy",
        meters_name="nova_lite.console.meters:Meters",
    )


if __name__ == "__main__":
    sys.exit(main())
