"""The real Placement under uWSGI: what ours is compared with, in answers and in speed."""

from importlib.metadata import version
from pathlib import Path

from tests.integration.stack.kept import Kept
from tests.integration.stack.keystone import uwsgi
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Program
from tests.integration.stack.site import ADDRESS, Site, environment, run, wait_listening
from tests.integration.stack.venv import cached_venv


def placement_venv() -> Path:
    """Return the real Placement's environment, made or brought up to date first; raises Missing when that fails.

    The standard traits and classes are of the releases that our own environment has: their lists are compared.
    """
    return cached_venv("placement-venv", _requirements(), "The real Placement")


def _requirements() -> tuple[str, ...]:
    names = tuple(f"{name}=={version(name)}" for name in ("os-traits", "os-resource-classes"))
    return ("openstack-placement==16.0.0", *names, "uwsgi==2.0.31", "PyMySQL")


class RealPlacement:
    """One server with a database of its own in MariaDB; ``name`` tells several at one site apart.

    It authenticates as ours does with ``auth_strategy = noauth2``: the token says ``user:project``, or ``admin``.
    ``options`` is more text of its configuration file, beginning with the group's name in brackets.
    """

    def __init__(
        self,
        site: Site,
        mariadb: MariaDB,
        *,
        processes: int = 1,
        threads: int = 1,
        name: str = "real-placement",
        options: str = "",
    ) -> None:
        self._site = site
        self._mariadb = mariadb
        self._processes = processes
        self._threads = threads
        self._options = options
        self.name = name
        self.database = name.replace("-", "_")
        self.port = site.port(name)
        self.url = f"http://{ADDRESS}:{self.port}"

    def start(self) -> None:
        """Start the server, its database made on the first time; MariaDB must be up. Return once it listens."""
        venv = placement_venv()
        folder = self._write_configuration()
        synced = self._site.path("data", self.name, "synced")
        if not synced.exists():
            self._mariadb.create([self.database])
            manage = [str(venv / "bin" / "placement-manage"), "--config-dir", str(folder), "db", "sync"]
            kept = Kept(self._mariadb, "placement", _requirements())
            if not kept.load(self.database):
                run(manage, log=self._site.path("log", f"{self.name}-manage.log"))
                kept.save(self.database)
            synced.write_text("")
        argv = uwsgi(venv, self.port, "placement.wsgi.api", self._processes, self._threads)
        variables = environment(OS_PLACEMENT_CONFIG_DIR=str(folder))
        self._site.processes.start(Program(self.name, argv, env=variables))
        wait_listening(self._site, self.name, self.port, timeout_s=60)

    def stop(self) -> None:
        """Stop the server; its database stays."""
        self._site.processes.stop(self.name)

    def pids(self) -> list[int]:
        """Return the processes that serve requests."""
        return self._site.processes.workers(self.name)

    def _write_configuration(self) -> Path:
        folder = self._site.folder("etc", self.name)
        text = f"""\
[DEFAULT]
debug = false
[api]
auth_strategy = noauth2
[placement_database]
connection = {self._mariadb.url(self.database)}
max_pool_size = {max(5, self._threads)}
{self._options}
"""
        (folder / "placement.conf").write_text(text)
        return folder
