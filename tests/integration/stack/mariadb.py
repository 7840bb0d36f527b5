"""One MariaDB server, tuned to keep commits through a crash of its process, not of the machine: tests want speed."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.integration.stack.processes import Program, wait_until
from tests.integration.stack.site import ADDRESS, PASSWORD, Site, environment, run, tool

_USER = "nova_lite"
_OPTIONS = (
    "--innodb-buffer-pool-size=256M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--max-connections=1000",
    "--performance-schema=OFF",
)


class MariaDB:
    """A server on a private port and socket; databases are made when asked for."""

    driver = "mysql+pymysql"

    def __init__(self, site: Site) -> None:
        self._site = site
        self.port = site.port("mariadb")
        self._data = site.path("data", "mariadb")
        self._socket = site.path("run", "my.sock")

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of one database."""
        return f"{self.driver}://{_USER}:{PASSWORD}@{self._site.address}:{self.port}/{database}?charset=utf8mb4"

    def install(self, like: "MariaDB | None" = None) -> None:
        """Make the system tables, once; quicker as a copy of those of another server that has not started yet."""
        if (self._data / "mysql").is_dir():
            return
        if like is not None:
            shutil.copytree(like._data, self._data)
            return
        program = tool("mariadb-install-db", package="mariadb-server")
        options = ["--no-defaults", *_account(), "--skip-test-db", "--auth-root-authentication-method=normal"]
        log = self._site.path("log", "mariadb-install.log")
        run([program, *options, f"--datadir={self._data}"], log=log, env=environment(TMPDIR=str(self._temporary())))

    def start(self) -> None:
        """Start the server, its system tables made on the first time; return once it answers."""
        server = tool("mariadbd", package="mariadb-server")
        self.install()
        argv = [
            server,
            "--no-defaults",
            *_account(),
            f"--datadir={self._data}",
            f"--tmpdir={self._temporary()}",
            f"--socket={self._socket}",
            f"--port={self.port}",
            f"--bind-address={self._site.address}",
            f"--pid-file={self._site.path('run', 'my.pid')}",
            *_OPTIONS,
        ]
        self._site.processes.start(Program("mariadb", tuple(argv)))
        wait_until(self._answers, "MariaDB answering", timeout_s=60, hint=f"Log: {self._site.processes.log('mariadb')}")
        clients = ADDRESS if self._site.address == ADDRESS else "%"
        self._sql(
            f"CREATE USER IF NOT EXISTS {_USER}@'{clients}' IDENTIFIED BY '{PASSWORD}'; "
            f"GRANT ALL ON *.* TO {_USER}@'{clients}'"
        )

    def stop(self) -> None:
        """Stop the server; its data stays."""
        self._site.processes.stop("mariadb", timeout_s=30)

    def create(self, databases: Iterable[str]) -> None:
        """Make the databases that are not there yet."""
        self._sql("; ".join(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4" for name in databases))

    def drop(self, databases: Iterable[str]) -> None:
        """Drop databases with all that is in them."""
        self._sql("; ".join(f"DROP DATABASE IF EXISTS `{name}`" for name in databases))

    def dump(self, database: str) -> bytes:
        """Return the statements that make all that is in a database."""
        program = tool("mariadb-dump", package="mariadb-client")
        argv = [program, "--no-defaults", f"--socket={self._socket}", "-uroot", "--skip-comments", database]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=480, check=True).stdout

    def execute(self, statements: bytes, database: str) -> None:
        """Execute statements in a database."""
        self._client(database, text=statements).check_returncode()

    def _temporary(self) -> Path:
        """Return its own directory for temporary files: a server that starts removes those of others."""
        return self._site.folder("data", "mariadb-tmp")

    def _answers(self) -> bool:
        self._site.processes.require("mariadb")
        return self._client("-e", "SELECT 1").returncode == 0

    def _sql(self, statements: str) -> None:
        self._client("-e", statements).check_returncode()

    def _client(self, *words: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        client = tool("mariadb", package="mariadb-client")
        return subprocess.run(
            [client, "--no-defaults", f"--socket={self._socket}", "-uroot", *words],
            input=text,
            capture_output=True,
            timeout=480,
            check=False,
        )


def _account() -> list[str]:
    return [f"--user={'root' if os.geteuid() == 0 else os.environ.get('USER', '')}"]
