"""The two servers that are compared, each under uWSGI with a database of its own in one MariaDB, and their costs."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.placement import figures, wire
from benchmarks.placement.wire import Client, Step
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Missing, Program
from tests.integration.stack.real_placement import RealPlacement
from tests.integration.stack.site import ADDRESS, Site, environment, run, tool, wait_listening

_REPOSITORY = Path(__file__).resolve().parents[2]
#: Both servers get as many.
PROCESSES = 2
THREADS = 4
#: A server that used less than ``_RESTING_S`` seconds of CPU within ``_LOOK_S`` rests; it must within ``_SETTLE_S``.
_RESTING_S = 0.005
_LOOK_S = 0.3
_SETTLE_S = 120.0


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds that processes have used, with what their ended threads did.

    This is /proc/PID/stat's utime + stime read through the process's own clock: nanoseconds instead of ticks.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) / 1e9


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def fair_share_mb(pid: int) -> float:
    """Return the memory of a process in MB, what several share divided by their number (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


class _Server(Protocol):
    """What both servers can do."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class OurPlacement:
    """nova_lite's Placement as shipped: its uWSGI file, its commands. The same promises as ``RealPlacement``."""

    def __init__(self, site: Site, mariadb: MariaDB, *, processes: int, threads: int, name: str) -> None:
        self._site = site
        self._mariadb = mariadb
        self._processes = processes
        self._threads = threads
        self.name = name
        self.database = name.replace("-", "_")
        self.port = site.port(name)

    def start(self) -> None:
        """Start the server, its database made on the first time; MariaDB must be up. Return once it listens."""
        connection = self._mariadb.url(self.database)
        text = f"[api]\nauth_strategy = noauth2\n[placement_database]\nconnection = {connection}\n"
        configuration = self._site.write(text, "etc", f"{self.name}.conf")
        synced = self._site.path("data", self.name, "synced")
        variables = environment(PYTHONPATH=str(_REPOSITORY))
        if not synced.exists():
            self._mariadb.create([self.database])
            manage = [sys.executable, "-m", "nova_lite.cmd.manage", "--config-file", str(configuration)]
            log = self._site.path("log", f"{self.name}-manage.log")
            run([*manage, "placement_db", "sync"], log=log, env=variables, cwd=_REPOSITORY)
            synced.write_text("")
        uwsgi = Path(sys.prefix) / "bin" / "uwsgi"
        if not uwsgi.exists():
            raise Missing(f"{uwsgi} is not there (pip install uWSGI)")
        settings = {
            "NOVA_LITE_CONFIG_FILES": str(configuration),
            "NOVA_LITE_PLACEMENT_LISTEN": f"{ADDRESS}:{self.port}",
            "NOVA_LITE_PLACEMENT_PROCESSES": str(self._processes),
            "NOVA_LITE_PLACEMENT_THREADS": str(self._threads),
        }
        ini = _REPOSITORY / "etc" / "nova-lite-placement-uwsgi.ini"
        argv = (str(uwsgi), "--ini", str(ini), "--virtualenv", sys.prefix, "--pythonpath", str(_REPOSITORY))
        program = Program(self.name, argv, env=variables | settings, cwd=str(_REPOSITORY))
        self._site.processes.start(program)
        wait_listening(self._site, self.name, self.port, timeout_s=60)

    def stop(self) -> None:
        """Stop the server; its database stays."""
        self._site.processes.stop(self.name)


@dataclass(frozen=True, slots=True)
class Peer:
    """One running server as the cases see it: where to ask, and what its answers cost."""

    kind: str
    server: _Server
    site: Site

    @property
    def port(self) -> int:
        return self.server.port

    def workers(self) -> list[int]:
        """Return the processes that answer."""
        return self.site.processes.workers(self.server.name)

    def block(self, steps: Iterable[Step], *, clients: int, budget_s: float, at_least: int = 1) -> figures.Block:
        """Drive this server alone and return what it took: of the server's processes, and of the database's."""
        pids, database = self._pids(), self._database()
        app, db = cpu_s(pids), cpu_s(database)
        driven = wire.drive(self.port, steps, clients=clients, budget_s=budget_s, at_least=at_least)
        if self._pids() != pids:
            raise wire.BadAnswer(f"a worker of {self.server.name} died: {self.site.processes.tail(self.server.name)}")
        app, db = cpu_s(pids) - app, cpu_s(database) - db
        return figures.Block(driven.waits_s, driven.took_s, app, db, driven.statuses)

    def client(self) -> Client:
        """Return a client of this server, for what is not measured."""
        return Client(self.port)

    def memory_mb(self) -> float:
        """Return the resident memory of the largest worker."""
        return max(resident_mb(pid) for pid in self.workers())

    def loading_s(self) -> float:
        """Return the CPU seconds that the first process and the busiest worker have used since they began."""
        worker = max(cpu_s([pid]) for pid in self.workers())
        return worker + cpu_s(set(self._pids()) - set(self.workers()))

    def fair_memory_mb(self) -> float:
        """Return what the whole server takes of the machine's memory, its first process too, for each worker."""
        return sum(fair_share_mb(pid) for pid in self._pids()) / len(self.workers())

    def restart(self) -> None:
        """Start the server anew on the same database."""
        self.server.stop()
        self.server.start()
        self.settle()

    def settle(self) -> None:
        """Return when every worker has loaded the application, which takes them a while after the server listens."""
        client = self.client()
        client.send(wire.request("GET", "/"))
        client.close()
        deadline = time.monotonic() + _SETTLE_S
        before: tuple[list[int], float] = ([], 0.0)
        while time.monotonic() < deadline:
            pids = self._pids()
            with contextlib.suppress(OSError):
                now = (pids, cpu_s(pids))
                if len(pids) == PROCESSES + 1 and pids == before[0] and now[1] - before[1] < _RESTING_S:
                    return
                before = now
            time.sleep(_LOOK_S)
        raise wire.BadAnswer(f"{self.server.name} does not come to rest. {self.site.processes.tail(self.server.name)}")

    def _pids(self) -> list[int]:
        master = self.site.processes.pid(self.server.name)
        return sorted([*([master] if master else []), *self.workers()])

    def _database(self) -> list[int]:
        pid = self.site.processes.pid("mariadb")
        return [pid] if pid else []


class Stage:
    """A directory with a MariaDB, where pairs of servers come and go."""

    def __init__(self, directory: Path) -> None:
        self.site = Site(directory)
        self.mariadb = MariaDB(self.site)

    @contextlib.contextmanager
    def pair(self, cloud: str, *, with_real: bool = True) -> Iterator[list[Peer]]:
        """Run ours, and the real one, each with its database for ``cloud``; ours comes last."""
        servers: list[tuple[str, _Server]] = []
        if with_real:
            real = RealPlacement(self.site, self.mariadb, processes=PROCESSES, threads=THREADS, name=f"real-{cloud}")
            servers.append(("real", real))
        ours = OurPlacement(self.site, self.mariadb, processes=PROCESSES, threads=THREADS, name=f"ours-{cloud}")
        servers.append(("ours", ours))
        with contextlib.ExitStack() as stack:
            for _, server in servers:
                stack.callback(server.stop)
                server.start()
            peers = [Peer(kind, server, self.site) for kind, server in servers]
            for peer in peers:
                peer.settle()
            yield peers


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Yield a stage in a directory of its own; however the block ends, no process and no file is left."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with tempfile.TemporaryDirectory(prefix="nova-lite-bench-") as path:
            found = Stage(Path(path))
            try:
                found.mariadb.start()
                yield found
            except Exception:
                # The directory with the logs is about to go.
                for name in found.site.processes.names():
                    print(found.site.processes.tail(name), file=sys.stderr)
                raise
            finally:
                # A second Ctrl-C must not stop the stopping.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                for name in reversed(found.site.processes.names()):
                    found.site.processes.stop(name, number=signal.SIGTERM, timeout_s=20)
                signal.signal(signal.SIGINT, signal.default_int_handler)
    finally:
        signal.signal(signal.SIGTERM, before)


def machine() -> dict[str, str]:
    """Return what the figures were measured on, plainly."""
    server = tool("mariadbd", package="mariadb-server")
    version = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpus": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
        "database": version.partition("Ver ")[2].split(" for ")[0],
        "workers": f"{PROCESSES} processes of {THREADS} threads",
    }
