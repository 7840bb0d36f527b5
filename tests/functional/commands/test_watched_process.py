"""A daemon as a process tells those who watch it how it is, from its start to its end, and heeds SIGHUP between."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from nova_lite.db import migrate
from nova_lite.storage import Database

_DEADLINE_S = 480.0
_CONFIGURATION = """
[DEFAULT]
host = one
transport_url = fake:///
[database]
connection = {database}
[placement]
endpoint_override = http://127.0.0.1:{nobody}
noauth_token = nova
[service]
monitoring_address = 127.0.0.1:{port}
executor = {executor}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ask(port: int, page: str) -> tuple[int, bytes]:
    """Return status and body of a page, 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=_DEADLINE_S) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()
    except OSError:
        return 0, b""


@pytest.mark.parametrize("executor", ["threading", "eventlet"])
def test_a_conductor_without_placement_lives_and_is_not_ready(tmp_path: Path, executor: str) -> None:
    database = f"sqlite:///{tmp_path}/cell.db"
    with contextlib.closing(Database(database)) as cell_db:
        migrate.sync(cell_db, "cell")
    port, file = free_port(), tmp_path / "nova-lite.conf"
    facts = {"database": database, "nobody": free_port(), "port": port, "executor": executor}
    file.write_text(_CONFIGURATION.format(**facts))
    command = [sys.executable, "-W", "ignore", "-m", "nova_lite.cmd.conductor", "--config-file", str(file)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as conductor:
        try:
            end = time.monotonic() + _DEADLINE_S
            while ask(port, "/live")[0] != 200 and conductor.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            assert ask(port, "/live")[0] == 200, (tmp_path / "log").read_text()
            status, body = ask(port, "/ready")
            assert (status, set(json.loads(body)["reasons"])) == (503, {"placement"})
            status, body = ask(port, "/metrics")
            assert status == 200
            assert b'nova_lite_build_info{service="nova-lite-conductor"' in body
            assert b"nova_lite_workflows_overdue 0.0" in body
            for change, said in (
                ("debug = true", "Option DEFAULT.debug changed from [None] to [true]"),
                ("[broken", "All options stay"),
            ):
                file.write_text(f"{_CONFIGURATION.format(**facts)}\n[DEFAULT]\n{change}\n")
                conductor.send_signal(signal.SIGHUP)
                while said not in (tmp_path / "log").read_text() and time.monotonic() < end:
                    time.sleep(0.05)
                assert said in (tmp_path / "log").read_text()
            assert ask(port, "/live")[0] == 200
            conductor.send_signal(signal.SIGTERM)
            assert conductor.wait(_DEADLINE_S) == 0, (tmp_path / "log").read_text()
        finally:
            conductor.kill()


_PROXY = """
[DEFAULT]
transport_url = kombu+memory:///api
[api_database]
connection = {database}
[vnc]
novncproxy_host = 127.0.0.1
novncproxy_port = {port}
[service]
monitoring_address = 127.0.0.1:{watched}
"""


def test_a_console_proxy_that_is_stopped_waits_for_nobody(tmp_path: Path) -> None:
    """What is said to those who look at a console: ``console/test_proxy.py``."""
    database = f"sqlite:///{tmp_path}/api.db"
    with contextlib.closing(Database(database)) as api_db:
        migrate.sync(api_db, "api")
    port, watched, file = free_port(), free_port(), tmp_path / "nova-lite.conf"
    file.write_text(_PROXY.format(database=database, port=port, watched=watched))
    command = [sys.executable, "-W", "ignore", "-m", "nova_lite.cmd.console_proxy", "--config-file", str(file)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as proxy:
        try:
            end = time.monotonic() + _DEADLINE_S
            while ask(watched, "/live")[0] != 200 and proxy.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            with socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE_S) as silent:
                silent.sendall(b"GET /?token=x HTTP/1.1\r\n")
                assert ask(port, "/")[0] in (403, 404, 405)
                proxy.send_signal(signal.SIGTERM)
                assert silent.recv(1) in (b"", b"H")
                assert proxy.wait(_DEADLINE_S) == 0, (tmp_path / "log").read_text()
        finally:
            proxy.kill()
