"""A cloud started as users start it, and the unmodified ``openstack`` client."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.testing import up
from tests.functional.clients.commands import Commands

_VERSION = "--os-compute-api-version"

OpenStack = Callable[..., Any]


@contextlib.contextmanager
def client(state_dir: Path, cloud: str = "nova-lite") -> Iterator[OpenStack]:
    """Yield a function that runs the ``openstack`` client and returns what it printed: parsed, where it is JSON."""
    with contextlib.closing(Commands(state_dir, cloud)) as commands:

        def run(*words: str, fails: bool = False) -> Any:
            code, out, err = commands.run(words[1] if words[0] == _VERSION else "", words)
            assert (code != 0) == fails, f"openstack {' '.join(words)}: {code}\n{out}{err}"
            return err if fails else json.loads(out) if "json" in words else out

        yield run


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cloud")
    with up.running(path):
        yield path


@pytest.fixture(scope="module")
def openstack(state_dir: Path) -> Iterator[OpenStack]:
    """The client as the administrator."""
    with client(state_dir) as run:
        yield run


@pytest.fixture(scope="module")
def demo(state_dir: Path) -> Iterator[OpenStack]:
    """The client as a user."""
    with client(state_dir, "nova-lite-demo") as run:
        yield run
