"""Clients that boot servers, and one that watches the cell's database for how the servers do.

Nobody polls the Compute API: what that costs would weigh on the slower cloud most. A server counts as ACTIVE when its
row says so, which is what the next GET would answer; the watcher looks every ``_LOOK_S``.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count

import sqlalchemy as sa

from benchmarks.placement.wire import BadAnswer, Client, encoded
from benchmarks.scheduling.cloud import RAM_MIB, USER, Cloud, Where
from benchmarks.scheduling.figures import Boot, Run

_LOOK_S = 0.02
#: Every so many-th look is also for servers that were buried in cell0.
_BURIED = 5
FLAVOR = "bench"
_STATES = """
SELECT uuid, vm_state FROM {database}.instances WHERE uuid IN :ids AND vm_state IN :states AND task_state IS NULL
"""
_IDS: sa.BindParameter[str] = sa.bindparam("ids", expanding=True)
_WANTED: sa.BindParameter[str] = sa.bindparam("states", expanding=True)
_ACTIVE = sa.text(
    "SELECT COUNT(*) FROM instances WHERE display_name LIKE :name AND vm_state = 'active' AND task_state IS NULL"
)


def request(method: str, path: str, body: object = None) -> bytes:
    """Return one request to a Compute API as it goes over the wire."""
    headers = {"X-Auth-Token": USER, "OpenStack-API-Version": "compute 2.96"}
    return encoded(method, f"/v2.1{path}", headers, body)


def server(name: str, image_id: str, *, many: int = 1) -> bytes:
    """Return the request for a server, or for ``many`` in one."""
    wanted: dict[str, object] = {"name": name, "flavorRef": FLAVOR, "imageRef": image_id, "networks": "none"}
    if many > 1:
        wanted |= {"min_count": many, "max_count": many}
    return request("POST", "/servers", {"server": wanted})


def add_flavor(cloud: Cloud) -> None:
    """Add the flavor that all servers have."""
    flavor = {"id": FLAVOR, "name": FLAVOR, "vcpus": 1, "ram": RAM_MIB, "disk": 1}
    with closing(Client(cloud.port)) as client:
        client.send(request("POST", "/flavors", {"flavor": flavor})).json()


class Watcher(threading.Thread):
    """Notices when servers are ACTIVE, or in ERROR."""

    def __init__(self, where: Where) -> None:
        super().__init__(name="watcher", daemon=True)
        self._where = where
        self._lock = threading.Lock()
        self._waiting: dict[str, _Wait] = {}
        self._ended = threading.Event()
        self.failure: Exception | None = None

    def expect(self, server_id: str) -> "_Wait":
        """Return what will say how a server ended."""
        wait = _Wait()
        with self._lock:
            self._waiting[server_id] = wait
        return wait

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        try:
            with self._where.engine().connect() as connection:
                for number in count():
                    if self._ended.wait(_LOOK_S):
                        return
                    self._look(connection, self._where.cell, ("active", "error"))
                    if number % _BURIED == 0:
                        self._look(connection, self._where.cell0, ("error",))
        except Exception as exc:  # noqa: BLE001 - raised again in the thread that measures
            self.failure = exc

    def _look(self, connection: sa.Connection, database: str, states: tuple[str, ...]) -> None:
        with self._lock:
            ids = list(self._waiting)
        if not ids:
            return
        statement = sa.text(_STATES.format(database=database)).bindparams(_IDS, _WANTED)
        found = connection.execute(statement, {"ids": ids, "states": states}).all()
        now = time.perf_counter()
        with self._lock:
            for server_id, state in found:
                wait = self._waiting.pop(server_id)
                wait.outcome, wait.at = str(state), now
                wait.ended.set()


@dataclass(slots=True)
class _Wait:
    ended: threading.Event = field(default_factory=threading.Event)
    outcome: str = "late"
    at: float = 0.0


def drive(
    cloud: Cloud,
    image_id: str,
    *,
    servers: int,
    clients: int,
    limit_s: float,
) -> Run:
    """Have ``clients`` boot ``servers``, each its next one when the last is ACTIVE or has failed.

    A server that is neither after ``limit_s`` counts as late.
    """
    watcher = Watcher(cloud.where)
    watcher.start()
    prefix = uuid.uuid4().hex[:6]
    numbers = iter(range(servers))
    lock = threading.Lock()
    done: list[Boot] = []
    failures: list[BaseException] = []
    began = time.perf_counter()

    def following() -> Iterator[int]:
        while not failures:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            yield number

    def life() -> None:
        try:
            with closing(Client(cloud.port)) as client:
                for number in following():
                    boot = _boot(client, watcher, server(f"b{prefix}-{number}", image_id), began, limit_s)
                    with lock:
                        done.append(boot)
        except BaseException as exc:  # noqa: BLE001 - raised again below, in the caller's thread
            failures.append(exc)

    threads = [threading.Thread(target=life, daemon=True) for _ in range(clients)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        failures.append(KeyboardInterrupt())
        raise
    finally:
        watcher.stop()
    if watcher.failure or failures:
        raise watcher.failure or failures[0]
    return Run(tuple(sorted(done, key=lambda boot: boot.ended_s)), clients)


def _boot(client: Client, watcher: Watcher, data: bytes, began: float, limit_s: float) -> Boot:
    asked = time.perf_counter()
    answer = client.send(data)
    if answer.status != 202:
        raise BadAnswer(f"{answer.status} {answer.body[:500]!r}")
    wait = watcher.expect(str(answer.json()["server"]["id"]))
    deadline = asked + limit_s
    while not wait.ended.wait(min(1.0, max(0.01, deadline - time.perf_counter()))):
        if watcher.failure is not None:
            raise watcher.failure
        if time.perf_counter() > deadline:
            break
    ended = wait.at or time.perf_counter()
    return Boot(asked - began, answer.wait_s, ended - asked, wait.outcome)


def many(cloud: Cloud, image_id: str, *, servers: int, limit_s: float) -> float:
    """Return the seconds from one request for many servers until all are ACTIVE."""
    name = f"m{uuid.uuid4().hex[:6]}"
    with closing(Client(cloud.port)) as client, cloud.where.engine().connect() as connection:
        asked = time.perf_counter()
        client.send(server(name, image_id, many=servers)).json()
        while (active := connection.scalar(_ACTIVE, {"name": f"{name}-%"}) or 0) < servers:
            if time.perf_counter() - asked > limit_s:
                raise BadAnswer(f"{active} of {servers} servers of one request are ACTIVE after {limit_s:g} s")
            time.sleep(_LOOK_S)
        return time.perf_counter() - asked


def fault(cloud: Cloud) -> str:
    """Return what the newest server that failed says of itself."""
    with closing(Client(cloud.port)) as client:
        listed = client.send(request("GET", "/servers/detail?status=ERROR&limit=1")).json()["servers"]
    return str(listed[0].get("fault", {}).get("message")) if listed else "no server is in ERROR"
