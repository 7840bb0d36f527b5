"""A daemon that is to end waits for its work, tells of it, and ends with it."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.cmd import daemon


class _Busy:
    """A service at work until ``done``."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def start(self) -> None:
        """Not wanted here."""

    def stop(self) -> None:
        self.done.wait(300)

    def under_way(self) -> list[str]:
        return [] if self.done.is_set() else ["workflow", "build", "workflow"]

    def checks(self) -> dict[str, Callable[[], object]]:
        return {}


def test_it_ends_as_soon_as_its_work_has(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(daemon, "_TOLD_S", 0.01)
    service = _Busy()
    stopping = daemon._Stopping(service)
    stopping.check()
    codes: list[int] = []
    with caplog.at_level("INFO"):
        ending = threading.Thread(target=lambda: codes.append(stopping.within(300)), daemon=True)
        ending.start()
        pause = threading.Event()
        while "Still at work before the end: 1 build, 2 workflow" not in caplog.text:
            assert ending.is_alive()
            pause.wait(0.01)
    with pytest.raises(errors.Unavailable, match="still at work: 1 build, 2 workflow"):
        stopping.check()
    service.done.set()
    ending.join(300)
    assert codes == [0]


def test_it_ends_without_work_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    service = _Busy()
    assert daemon._Stopping(service).within(0.05) == 1
    assert "Work did not end within 0.05 s: 1 build, 2 workflow" in caplog.text
    service.done.set()


_STUCK = """
import os, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from nova_lite.cmd import daemon

class Stuck:
    def __init__(self, conf):
        self._pool = ThreadPoolExecutor()
    def start(self):
        self._pool.submit(threading.Event().wait)
        os.kill(os.getpid(), signal.SIGTERM)
    def stop(self):
        self._pool.shutdown()
    def under_way(self):
        return ["build"]

words = ["--config-file", sys.argv[1]]
sys.exit(daemon.run("stuck", "Get stuck.", words, service_name="__main__:Stuck", meters_name=""))
"""


def test_the_process_is_gone_when_the_time_is_up(tmp_path: Path) -> None:
    """The interpreter would wait for the threads of pools at its end."""
    file = tmp_path / "nova-lite.conf"
    file.write_text("[service]\ngraceful_shutdown_timeout = 1\n")
    done = subprocess.run(
        [sys.executable, "-c", _STUCK, str(file)],
        cwd=Path(__file__).parents[3],
        timeout=300,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Work did not end within 1 s: 1 build" in done.stdout


def test_a_mistake_in_the_configuration_is_all_it_tells(tmp_path: Path) -> None:
    """Nothing of what libraries say as they are loaded, such as eventlet's name."""
    file = tmp_path / "nova-lite.conf"
    file.write_text("[DEFAULT]\ntransport_url = kombu+memory:///api\n")
    code = "import sys; from nova_lite.cmd import scheduler; sys.exit(scheduler.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "--config-file", str(file)],
        cwd=Path(__file__).parents[3],
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (done.stdout, done.stderr) == ("", "nova-lite-scheduler: The scheduler needs [api_database] connection.\n")
