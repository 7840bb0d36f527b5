"""What clouds do while nobody asks anything of them: memory, statements, bytes on the bus."""

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from benchmarks.placement.peers import cpu_s, resident_mb
from benchmarks.scheduling.cloud import Cloud
from benchmarks.scheduling.place import Place
from tests.integration.stack.site import tool

_SOCKET = re.compile(r":(?P<port>\d+)\s+users:\(\(.*?pid=(?P<pid>\d+)")
_BYTES = re.compile(r"\bbytes_(?:sent|received):(\d+)")
_CONNECT = re.compile(r" on (\w*) using ")


@dataclass(frozen=True, slots=True)
class Rest:
    """An idle cloud, a minute: memory in MB by program, the largest process of each; CPU in ms of each agent.

    ``statements`` are all that reach the databases of the cloud; ``bus_bytes`` are what an agent says and hears.
    """

    memory_mb: Mapping[str, float]
    agent_mb: float
    agent_cpu_ms: float
    agent_bus_bytes: float
    statements: Mapping[str, float]


def watch(
    place: Place, clouds: Sequence[Cloud], *, seconds: float, wait: Callable[[float], None] = time.sleep
) -> list[Rest]:
    """Return what each cloud did in ``seconds``, all of them idle and beside each other."""
    agents = {cloud.name: [pid for name in cloud.agents for pid in pids_of(place, name)] for cloud in clouds}
    port = place.rabbitmq.port
    with _statements(place) as ended:
        before = {name: cpu_s(pids) for name, pids in agents.items()}
        said = bytes_by_pid(_sockets(), port)
        wait(seconds)
        heard = bytes_by_pid(_sockets(), port)
        after = {name: cpu_s(pids) for name, pids in agents.items()}
        by_database = ended()
    minutes = seconds / 60
    found = []
    for cloud in clouds:
        pids = agents[cloud.name]
        talked = sum(heard.get(pid, 0) - said.get(pid, 0) for pid in pids)
        prefix = cloud.name.replace("-", "_") + "_"
        found.append(
            Rest(
                memory_mb={name.removeprefix(f"{cloud.name}-"): memory_mb(place, name) for name in cloud.programs},
                agent_mb=max(memory_mb(place, name) for name in cloud.agents),
                agent_cpu_ms=(after[cloud.name] - before[cloud.name]) * 1000 / len(pids) / minutes,
                agent_bus_bytes=talked / len(pids) / minutes,
                statements={
                    name.removeprefix(prefix): count / minutes
                    for name, count in by_database.items()
                    if name.startswith(prefix)
                },
            )
        )
    return found


def pids_of(place: Place, name: str) -> list[int]:
    """Return the processes of a program."""
    pid = place.site.processes.pid(name)
    return [*([pid] if pid else []), *place.site.processes.workers(name)]


def memory_mb(place: Place, name: str) -> float:
    """Return the memory of the largest process of a program."""
    return max(resident_mb(pid) for pid in pids_of(place, name))


def bytes_by_pid(listing: str, port: int) -> dict[int, int]:
    """Return process → bytes on its connections to ``port``, sent and received, from what ``ss -Htinp`` prints."""
    found: dict[int, int] = {}
    owner: int | None = None
    for line in listing.splitlines():
        if not line[:1].isspace():
            match = _SOCKET.search(line)
            owner = int(match["pid"]) if match is not None and int(match["port"]) == port else None
        elif owner is not None:
            found[owner] = found.get(owner, 0) + sum(int(count) for count in _BYTES.findall(line))
            owner = None
    return found


def by_database(
    counts: Iterable[tuple[int, int]], connects: Iterable[tuple[int, str]], known: Iterable[tuple[int, str | None]]
) -> dict[str, int]:
    """Return database → statements, from the counts of connections, what new ones said, and what others are at."""
    at = {number: database for number, database in known if database}
    for number, said in connects:
        match = _CONNECT.search(said)
        if match is not None and match[1]:
            at[number] = match[1]
    found: dict[str, int] = {}
    for number, count in counts:
        if number in at:
            found[at[number]] = found.get(at[number], 0) + count
    return found


def _sockets() -> str:
    program = tool("ss", package="iproute2")
    return subprocess.run([program, "-Htinp"], capture_output=True, text=True, check=True, timeout=30).stdout


class _statements:  # noqa: N801 - used like the functions around it
    """Has the database note every statement meanwhile; the value ends that and returns database → statements."""

    def __init__(self, place: Place) -> None:
        self._connection = place.where("mysql", "mysql").engine().connect()

    def __enter__(self) -> Callable[[], dict[str, int]]:
        self._do("SET GLOBAL log_output = 'TABLE'")
        self._do("TRUNCATE TABLE general_log")
        self._do("SET GLOBAL general_log = ON")
        return self._ended

    def __exit__(self, *exc: object) -> None:
        with closing(self._connection):
            self._do("SET GLOBAL general_log = OFF")

    def _ended(self) -> dict[str, int]:
        self._do("SET GLOBAL general_log = OFF")
        return by_database(
            [(int(number), int(count)) for number, count in self._rows(_COUNTS)],
            [(int(number), str(said)) for number, said in self._rows(_CONNECTS)],
            [(int(number), database) for number, database in self._rows(_KNOWN)],
        )

    def _do(self, statement: str) -> None:
        self._connection.execute(sa.text(statement))

    def _rows(self, statement: str) -> list[Any]:
        return list(self._connection.execute(sa.text(statement)))


_COUNTS = "SELECT thread_id, COUNT(*) FROM general_log WHERE command_type IN ('Query', 'Execute') GROUP BY thread_id"
_CONNECTS = "SELECT thread_id, CONVERT(argument USING utf8mb4) FROM general_log WHERE command_type = 'Connect'"
_KNOWN = "SELECT ID, DB FROM information_schema.PROCESSLIST"
