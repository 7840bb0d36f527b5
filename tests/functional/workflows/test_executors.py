"""Both kinds of threads a daemon may run on carry the same whole life of servers, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.workflows import whole_life

ROOT = Path(whole_life.__file__).parents[3]


@pytest.mark.parametrize("executor", ["threading", "eventlet"])
def test_servers_live_on(executor: str, tmp_path: Path) -> None:
    # What eventlet says of its own future is no warning of ours.
    command = [sys.executable, "-W", "ignore", whole_life.__file__, executor, str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert done.stdout.endswith("all is well\n")
