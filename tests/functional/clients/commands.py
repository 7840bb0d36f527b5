"""The unmodified ``openstack`` client, started once for many commands."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SHELL = Path(__file__).with_name("openstack_shell.py")
_STOP_S = 180.0


class Commands:
    """The client as one cloud's user: a process for each ``version``, as it keeps the version it was first told."""

    def __init__(self, state_dir: Path, cloud: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self._environment = kept | {"OS_CLIENT_CONFIG_FILE": str(state_dir / "clouds.yaml")}
        self._cloud = cloud
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def run(self, version: str, words: Sequence[str]) -> tuple[int, str, str]:
        """Run one command; return its exit code and what it printed on standard output and standard error."""
        if version not in self._processes:
            self._processes[version] = self._start()
        process = self._processes[version]
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(["--os-cloud", self._cloud, *words]), file=process.stdin, flush=True)
        line = process.stdout.readline()
        assert line, f"the client ended at: openstack {' '.join(words)}"
        code, out, err = json.loads(line)
        return code, out, err

    def close(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.communicate(timeout=_STOP_S)
        self._processes.clear()

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", str(_SHELL)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
