"""One PostgreSQL server, tuned to forget on power loss: tests want speed."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.integration.stack.processes import Missing, Program, wait_until
from tests.integration.stack.site import ADDRESS, PASSWORD, Site, run, tool

_USER = "nova_lite"
#: The server refuses to run as root; Debian's package makes this account.
_ACCOUNT = "postgres"
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300")


class PostgreSQL:
    """A server on a private port and socket; databases are made when asked for."""

    driver = "postgresql+psycopg"

    def __init__(self, site: Site) -> None:
        self._site = site
        self.port = site.port("postgresql")
        self._home = site.path("data", "postgresql")

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of one database."""
        return f"{self.driver}://{_USER}:{PASSWORD}@{ADDRESS}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, its cluster made on the first time; return once it answers."""
        server = _tool("postgres")
        self._make_home()
        data = self._home / "data"
        if not (data / "PG_VERSION").exists():
            secret = self._home / "password"
            secret.write_text(PASSWORD)
            secret.chmod(0o644)
            run(
                [
                    _tool("initdb"),
                    "-D",
                    str(data),
                    "-U",
                    _USER,
                    f"--pwfile={secret}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ],
                log=self._site.path("log", "initdb.log"),
                user=_ACCOUNT,
                cwd=self._home,
            )
        where = [f"listen_addresses={ADDRESS}", f"port={self.port}", f"unix_socket_directories={self._home}"]
        argv = [server, "-D", str(data), *(word for setting in [*where, *_OPTIONS] for word in ("-c", setting))]
        self._site.processes.start(Program("postgresql", tuple(argv), cwd=str(self._home), user=_ACCOUNT))
        hint = f"Log: {self._site.processes.log('postgresql')}"
        wait_until(self._answers, "PostgreSQL answering", timeout_s=60, hint=hint)

    def stop(self) -> None:
        """Stop the server without waiting for its clients; its data stays."""
        self._site.processes.stop("postgresql", number=signal.SIGINT, timeout_s=30)

    def create(self, databases: Iterable[str]) -> None:
        """Make the databases that are not there yet."""
        have = self._client("SELECT datname FROM pg_database").stdout.decode().split()
        for name in set(databases) - set(have):
            self._client(f'CREATE DATABASE "{name}"').check_returncode()

    def drop(self, databases: Iterable[str]) -> None:
        """Drop databases with all that is in them, whoever is connected."""
        for name in databases:
            self._client(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)').check_returncode()

    def _make_home(self) -> None:
        """Make the server's directory, reachable by its account."""
        self._home.mkdir(exist_ok=True)
        if os.geteuid() != 0:
            return
        try:
            account = pwd.getpwnam(_ACCOUNT)
        except KeyError as exc:
            raise Missing(f"there is no account {_ACCOUNT} (apt-get install postgresql)") from exc
        os.chown(self._home, account.pw_uid, account.pw_gid)
        for parent in (self._site.directory, self._home.parent):
            parent.chmod(parent.stat().st_mode | 0o711)

    def _answers(self) -> bool:
        self._site.processes.require("postgresql")
        return self._client("SELECT 1").returncode == 0

    def _client(self, statement: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [_tool("psql"), "-h", ADDRESS, "-p", str(self.port), "-U", _USER, "-d", "postgres", "-XAtqc", statement],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=480,
            check=False,
        )


def _tool(name: str) -> str:
    """Return a program of the newest PostgreSQL installed; Debian keeps each version in a folder of its own."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return tool(name, package="postgresql", folders=[str(folder) for folder in folders])
