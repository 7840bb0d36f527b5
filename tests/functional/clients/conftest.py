"""A cloud started as users start it, and the unmodified ``openstack`` client."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.testing import up

_COMMAND_S = 180.0

OpenStack = Callable[..., Any]


def client(state_dir: Path, cloud: str = "nova-lite") -> OpenStack:
    """Return a function that runs the ``openstack`` client and returns what it printed: parsed, where it is JSON."""
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(state_dir / "clouds.yaml")}
    environment = {
        name: value for name, value in environment.items() if name == "OS_CLIENT_CONFIG_FILE" or name[:3] != "OS_"
    }

    def run(*words: str, fails: bool = False) -> Any:
        command = [sys.executable, "-W", "ignore", "-m", "openstackclient.shell", "--os-cloud", cloud, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_COMMAND_S, check=False)
        assert (done.returncode != 0) == fails, (
            f"openstack {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stderr if fails else json.loads(done.stdout) if "json" in words else done.stdout

    return run


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cloud")
    with up.running(path):
        yield path


@pytest.fixture(scope="module")
def openstack(state_dir: Path) -> OpenStack:
    return client(state_dir)
