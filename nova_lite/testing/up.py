"""``nova-lite up`` as a process of its own, the way users run it, with imitated guests and free ports."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from nova_lite.embedded.clients_file import ADMIN_CLOUD
from nova_lite.testing.cloud import eventually

_UP_S = 180.0
_STOP_S = 480.0


@contextlib.contextmanager
def running(state_dir: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a cloud in ``state_dir`` until the block ends; it may have been killed by then."""
    command = [sys.executable, "-m", "nova_lite.cmd.cloud", "up", "--driver", "fake", "--port-base", "0"]
    clouds_file = state_dir / "clouds.yaml"
    clouds_file.unlink(missing_ok=True)
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--state-dir", str(state_dir), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def is_up() -> bool:
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        return clouds_file.exists()

    with process:
        try:
            eventually(is_up, "nova-lite up answers", _UP_S)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def urls(state_dir: Path) -> dict[str, str]:
    """Return service type → URL, from the catalog of the cloud that runs in ``state_dir``."""
    # What is written is JSON, so that reading it needs no YAML.
    cloud: dict[str, Any] = json.loads((state_dir / "clouds.yaml").read_text())["clouds"][ADMIN_CLOUD]
    url = f"{cloud['auth']['auth_url']}/auth/catalog"
    catalog = requests.get(url, headers={"X-Auth-Token": "admin"}, timeout=480).json()["catalog"]
    return {service["type"]: service["endpoints"][0]["url"] for service in catalog}
