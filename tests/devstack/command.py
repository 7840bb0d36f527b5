"""The unmodified ``openstack`` command as one user, started once for many commands."""

import json
from typing import Any

from tests.devstack.cloud import Cloud
from tests.functional.clients.commands import Commands
from tests.integration.stack.processes import StackError, wait_until

_TIMEOUT_S = 240


class Command:
    """The command as the user of ``name`` in ``clouds.yaml``."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._commands = Commands(cloud.site.directory, name)

    def close(self) -> None:
        """End its process."""
        self._commands.close()

    def run(self, *arguments: str) -> str:
        """Return what a command prints; raises StackError when it fails."""
        code, out, err = self._commands.run("", arguments)
        if code:
            raise StackError(f"openstack {' '.join(arguments)} failed ({code}): {out}{err}")
        return out

    def ask(self, *arguments: str) -> Any:
        """Return what a command answers in JSON."""
        return json.loads(self.run(*arguments, "-f", "json"))

    def reaches(self, server: str, status: str) -> Any:
        """Return a server once it has a status and nothing is done to it."""
        found: list[Any] = []

        def reached() -> bool:
            found[:] = [self.ask("server", "show", server)]
            return found[0]["status"] == status and found[0]["OS-EXT-STS:task_state"] is None

        wait_until(reached, f"{server} {status}", timeout_s=_TIMEOUT_S, interval_s=0.5)
        return found[0]
