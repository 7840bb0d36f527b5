"""A cloud started as users start it, and the unmodified ``openstack`` client."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.testing.cloud import eventually

_UP_S = 60.0
_COMMAND_S = 90.0

OpenStack = Callable[..., Any]


@contextlib.contextmanager
def nova_lite_up(state_dir: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``nova-lite up`` until the block ends, with imitated guests and free ports unless told otherwise."""
    command = [sys.executable, "-m", "nova_lite.cmd.cloud", "up", "--state-dir", str(state_dir)]
    command += [*(() if "--driver" in arguments else ("--driver", "fake")), "--port-base", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        clouds_file = state_dir / "clouds.yaml"
        before = clouds_file.stat().st_mtime_ns if clouds_file.exists() else 0

        def is_up() -> bool:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            return clouds_file.exists() and clouds_file.stat().st_mtime_ns != before

        eventually(is_up, "nova-lite up answers", _UP_S)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            if process.stdout:
                process.stdout.close()


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
    with nova_lite_up(path):
        yield path


@pytest.fixture(scope="module")
def openstack(state_dir: Path) -> OpenStack:
    return client(state_dir)
