"""``nova-lite up`` in a process of its own, as users run it, with imitated guests."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Running:
    """A cloud that answers; ``took_s`` is from the command's start to the first answer of its Compute API."""

    compute_url: str
    image_url: str
    took_s: float


@contextlib.contextmanager
def state_dir() -> Iterator[Path]:
    """Yield a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="nova-lite-bench-") as path:
        yield Path(path)


@contextlib.contextmanager
def running(path: Path) -> Iterator[Running]:
    """Run a two-cell cloud in ``path``."""
    (path / "clouds.yaml").unlink(missing_ok=True)
    command = [sys.executable, "-m", "nova_lite.cmd.cloud", "up", "--driver", "fake", "--port-base", "0"]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--state-dir", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not (path / "clouds.yaml").exists():
            if process.poll() is not None or time.perf_counter() - began > _UP_S:
                raise RuntimeError("nova-lite up did not come up")
            time.sleep(0.005)
        urls = _catalog(path)
        requests.get(urls["compute"], timeout=10).raise_for_status()
        yield Running(urls["compute"], urls["image"], time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _catalog(path: Path) -> dict[str, str]:
    auth_url = yaml.safe_load((path / "clouds.yaml").read_text())["clouds"]["nova-lite"]["auth"]["auth_url"]
    answer = requests.get(f"{auth_url}/auth/catalog", headers={"X-Auth-Token": "admin"}, timeout=10).json()
    return {service["type"]: service["endpoints"][0]["url"] for service in answer["catalog"]}
