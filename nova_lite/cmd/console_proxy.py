"""``nova-lite-console-proxy``: run a console proxy."""

import sys
from collections.abc import Sequence

from nova_lite.cmd import daemon


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; see ``daemon.run`` for the exit codes."""
    return daemon.run(
        "nova-lite-console-proxy", argv, "nova_lite.console.service:ConsoleProxy", "nova_lite.console.meters:Meters"
    )


if __name__ == "__main__":
    sys.exit(main())
