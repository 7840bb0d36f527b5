"""A program: servers live their whole lives, once with conductors dying, on the threads named by the first argument.

It says so when all was well, else it raises.
"""

import random
import sys
from pathlib import Path

from eventlet.patcher import is_monkey_patched

from nova_lite import concurrency


def main(executor: str, directory: str) -> None:
    """Run the stories."""
    assert executor in ("threading", "eventlet")
    concurrency.use("eventlet" if executor == "eventlet" else "threading")
    assert is_monkey_patched("thread") is (executor == "eventlet")
    # Only now: eventlet must patch before anything else is imported.
    from tests.functional.workflows.site import opened  # noqa: PLC0415

    with opened(Path(directory)) as site:
        servers = [site.boot()[0] for _ in range(6)]
        site.rest()
        assert [site.status(server) for server in servers] == ["ACTIVE"] * 6
        for action, details, status in (
            ("os-stop", None, "SHUTOFF"),
            ("os-start", None, "ACTIVE"),
            ("reboot", {"type": "HARD"}, "ACTIVE"),
            ("pause", None, "PAUSED"),
            ("unpause", None, "ACTIVE"),
            ("suspend", None, "SUSPENDED"),
            ("resume", None, "ACTIVE"),
        ):
            for server in servers:
                site.act(server, action, details)
            site.rest()
            assert [site.status(server) for server in servers] == [status] * 6
        code, body = site.ask("POST", f"/servers/{servers[0]}/action", {"os-getConsoleOutput": {}})
        assert code == 200, body
        assert "login" in body["output"]
        dice = random.Random(7)
        site.saboteur.anywhere = lambda place: dice.random() < 0.1
        servers += [site.boot()[0] for _ in range(6)]
        site.rest()
        assert [site.status(server) for server in servers] == ["ACTIVE"] * 12
        assert site.saboteur.happened
        site.clean()
    sys.stdout.write("all is well\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
