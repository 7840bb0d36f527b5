"""The place a deployment lives in: its directory, its ports, its processes, and where tools are found."""

import contextlib
import fcntl
import json
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.integration.stack.processes import Missing, Processes, StackError, wait_until

#: Where the servers of a deployment listen, and nowhere else, unless its site is in a network namespace.
ADDRESS = "127.0.0.1"
#: One password for everything: nothing of a deployment is reachable from outside the machine.
PASSWORD = "secret"
#: Ports are taken below the range the kernel gives to outgoing connections, so that none steals one.
_PORTS = range(20000, 32000)
#: Test workers side by side take them from shares of their own: a port is free until its server starts.
_SHARES = 6


class Site:
    """Directory, ports and processes of one deployment.

    Layout: ``run/`` process records, ``log/`` what they print, ``etc/`` configuration, ``data/`` all else.
    In a network namespace of its own: ``within`` is the command that runs another one there, ``address`` is where its
    servers listen, and ``ports`` says which ports are theirs; the others are chosen.
    """

    def __init__(
        self,
        directory: Path,
        *,
        address: str = ADDRESS,
        within: Sequence[str] = (),
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.within = tuple(within)
        self.processes = Processes(self.directory, self.within)
        self._ports = dict(ports or {})
        self._lock = threading.Lock()

    def path(self, *parts: str) -> Path:
        """Return a path below the directory, its parent made."""
        path = self.directory.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def folder(self, *parts: str) -> Path:
        """Return a directory below the site's, made."""
        path = self.directory.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, text: str, *parts: str) -> Path:
        """Write a file below the directory and return its path."""
        path = self.path(*parts)
        path.write_text(text)
        return path

    def port(self, name: str) -> int:
        """Return the port of server ``name``: free when first asked for, the same ever after."""
        if name in self._ports:
            return self._ports[name]
        record = self.path("ports.json")
        with self._lock:
            ports: dict[str, int] = json.loads(record.read_text()) if record.exists() else {}
            if name not in ports:
                ports[name] = _free_port(set(ports.values()))
                draft = self.path("ports.json.new")
                draft.write_text(json.dumps(ports))
                draft.rename(record)
            return ports[name]

    def loopback(self, number: int) -> str:
        """Return an address of the loopback, as little another site's as the port is that it is made from."""
        port = self.port("loopback")
        return f"127.{port >> 8}.{port & 255}.{number}"


def _free_port(taken: set[int]) -> int:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    ports = _PORTS[int(worker) % _SHARES :: _SHARES] if worker.isdigit() else _PORTS
    for _ in range(1000):
        port = random.choice(ports)
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port
    raise StackError("no free port between 20000 and 32000")


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Let one command at a time work on a directory; raises StackError where another one does."""
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise StackError(f"another command works on {directory}") from exc
        yield


def environment(**variables: str) -> dict[str, str]:
    """Return an environment for a program: ours without what would steer its Python or OpenStack client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OS_", "NOVA_LITE_"))}
    return kept | {"PYTHONWARNINGS": "ignore", **variables}


def tool(name: str, *, package: str, folders: Sequence[str] = ()) -> str:
    """Return the path of program ``name``; raises Missing naming the Debian package that has it."""
    search = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=search)
    if found is None:
        raise Missing(f"{name} is not installed (apt-get install {package})")
    return found


def run(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 300.0,
    user: str | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a command to its end, its output added to ``log``; raises StackError when it fails or takes too long."""
    account = user if os.geteuid() == 0 else None
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        try:
            done = subprocess.run(
                argv,
                env=environment() if env is None else dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                user=account,
                group=account,
                extra_groups=[] if account else None,
            )
        except subprocess.TimeoutExpired as exc:
            raise StackError(f"{argv[0]} did not end within {timeout_s:g} s. Log: {log}") from exc
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise StackError(f"{' '.join(argv)} failed ({done.returncode}). Log: {log}\n{last}")


def listens(port: int, address: str = ADDRESS) -> bool:
    """Return whether something answers on ``port``."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


def wait_listening(site: Site, name: str, port: int, *, timeout_s: float = 30.0) -> None:
    """Wait until process ``name`` listens on ``port``; raises at once when it ends instead."""

    def ready() -> bool:
        site.processes.require(name)
        return listens(port, site.address)

    wait_until(ready, f"{name} listening on {port}", timeout_s=timeout_s, hint=f"Log: {site.processes.log(name)}")
