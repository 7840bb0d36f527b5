"""Our Placement by itself: any number of uWSGI servers, each with any number of workers, on one database."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from nova_lite.db import migrate
from nova_lite.storage import Database
from tests.integration.stack.keystone import side_by_side
from tests.integration.stack.processes import Missing, Program, wait_until
from tests.integration.stack.site import ADDRESS, Site, environment, listens

_REPOSITORY = Path(__file__).resolve().parents[3]
#: Seconds a server gets until it listens; several start beside each other on a busy machine.
_START_S = 90.0


class Placement:
    """Servers of one Placement, with callers that say who they are; ``name`` tells it from others of the site."""

    def __init__(
        self, site: Site, name: str, url: str, *, servers: int = 1, processes: int = 3, threads: int = 4
    ) -> None:
        self._site = site
        self._name = name
        self._url = url
        self._processes = processes
        self._threads = threads
        self.names = tuple(f"placement-{name}-{number}" for number in range(servers))
        self.ports = tuple(site.port(each) for each in self.names)

    def prepare(self) -> None:
        """Make the tables, in an empty database too."""
        database = Database(self._url)
        try:
            migrate.sync(database, "placement")
        finally:
            database.close()

    def start(self) -> None:
        """Start every server at once; all listen when this returns."""
        policy = self._site.path("etc", "nova_lite", f"placement-{self._name}-policy.yaml")
        # A caller without Keystone has no role of a service.
        policy.write_text('"placement:reshaper:reshape": "role:admin"\n')
        self._configuration().write_text(
            f"[DEFAULT]\nstate_path = {self._site.folder('data', f'placement-{self._name}')}\n"
            f"[placement_database]\nconnection = {self._url}\n"
            "[api]\nauth_strategy = noauth2\n"
            f"[oslo_policy]\npolicy_file = {policy}\n"
        )
        side_by_side([partial(self._start, name, port) for name, port in zip(self.names, self.ports, strict=True)])

    def stop(self) -> None:
        """Stop every server."""
        side_by_side([partial(self._stop, name) for name in self.names])

    def workers(self) -> list[int]:
        """Return the worker processes of every server."""
        return [pid for name in self.names for pid in self._site.processes.workers(name)]

    def kill_worker(self, pid: int) -> None:
        """End one worker at once, as a crash would; its master starts another."""
        if pid in self.workers():
            os.kill(pid, signal.SIGKILL)

    def log(self) -> str:
        """Return all that the servers have said."""
        logs = (self._site.processes.log(name) for name in self.names)
        return "\n".join(log.read_text(errors="replace") for log in logs if log.exists())

    def _configuration(self) -> Path:
        return self._site.path("etc", "nova_lite", f"placement-{self._name}.conf")

    def _start(self, name: str, port: int) -> None:
        self._site.processes.start(self._program(name, port))

        def ready() -> bool:
            self._site.processes.require(name)
            return listens(port)

        wait_until(ready, f"{name} listening", timeout_s=_START_S, hint=f"Log: {self._site.processes.log(name)}")

    def _stop(self, name: str) -> None:
        self._site.processes.stop(name, timeout_s=30)

    def _program(self, name: str, port: int) -> Program:
        """Return the shipped uWSGI file; only the module is ours, which names the worker in each answer."""
        uwsgi = Path(sys.prefix) / "bin" / "uwsgi"
        if not uwsgi.exists():
            raise Missing(f"{uwsgi} is not there (pip install uWSGI)")
        variables = {
            "PYTHONPATH": str(_REPOSITORY),
            "PYTHONFAULTHANDLER": "1",
            "NOVA_LITE_CONFIG_FILES": str(self._configuration()),
            "NOVA_LITE_PLACEMENT_LISTEN": f"{ADDRESS}:{port}",
            "NOVA_LITE_PLACEMENT_PROCESSES": str(self._processes),
            "NOVA_LITE_PLACEMENT_THREADS": str(self._threads),
        }
        argv = (
            str(uwsgi),
            "--ini",
            str(_REPOSITORY / "etc" / "nova-lite-placement-uwsgi.ini"),
            "--virtualenv",
            sys.prefix,
            "--pythonpath",
            str(_REPOSITORY),
            "--module",
            "tests.integration.stack.placement_worker:application",
        )
        return Program(name, argv, env=environment(**variables), cwd=str(_REPOSITORY))
