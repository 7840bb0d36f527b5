"""What is done to servers, over and over, and a watcher that notices in the cell's database when it is done.

Nobody polls the Compute API: what that costs would weigh on the slower cloud most.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa

from benchmarks.placement.wire import BadAnswer, Client
from benchmarks.scheduling.boots import FLAVOR, request
from benchmarks.scheduling.cloud import RAM_MIB, Cloud, Where
from benchmarks.scheduling.figures import Boot, Run

#: Half of it is added to each wait, on average: little beside the shortest.
_LOOK_S = 0.01
#: A flavor that servers are resized to, and back from: what ``FLAVOR`` is, with more memory.
LARGER = "bench-larger"
_IDS: sa.BindParameter[str] = sa.bindparam("ids", expanding=True)
_ROWS = "SELECT uuid, vm_state, task_state, host, deleted FROM {database}.instances WHERE uuid IN :ids"


class Sight(Protocol):
    """What a look at a server shows."""

    @property
    def has_failed(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A server as its row says."""

    vm_state: str
    task_state: str | None
    host: str | None
    is_deleted: bool

    @property
    def rests(self) -> bool:
        return self.task_state is None and not self.is_deleted

    @property
    def has_failed(self) -> bool:
        return self.rests and self.vm_state == "error"


@dataclass(frozen=True, slots=True)
class Look:
    """How servers are looked at: a query of ``ids`` in a database, and what one server's rows mean."""

    query: str
    read: Callable[[Sequence[Any]], Any]


def _read(rows: Sequence[Any]) -> Seen:
    (_, vm_state, task_state, host, deleted) = rows[0]
    return Seen(vm_state, task_state, host, bool(deleted))


#: What most wait for: states.
STATES = Look(_ROWS, _read)


@dataclass(slots=True)
class _Wait:
    until: Callable[[Any], bool]
    ended: threading.Event = field(default_factory=threading.Event)
    outcome: str = "late"
    at: float = 0.0


class Watcher(threading.Thread):
    """Notices when servers are as somebody waits for, or have failed."""

    def __init__(self, where: Where, look: Look = STATES) -> None:
        super().__init__(name="watcher", daemon=True)
        self._how = look
        self._where = where
        self._lock = threading.Lock()
        self._waiting: dict[str, _Wait] = {}
        self._ended = threading.Event()
        self.failure: Exception | None = None

    def expect(self, server_id: str, until: Callable[[Any], bool]) -> _Wait:
        """Return what will say when the server is as wanted."""
        wait = _Wait(until)
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
                while not self._ended.wait(_LOOK_S):
                    self._look(connection)
        except Exception as exc:  # noqa: BLE001 - raised again in the thread that measures
            self.failure = exc

    def _look(self, connection: sa.Connection) -> None:
        with self._lock:
            waiting = dict(self._waiting)
        if not waiting:
            return
        statement = sa.text(self._how.query.format(database=self._where.cell)).bindparams(_IDS)
        rows: dict[str, list[Any]] = {}
        for row in connection.execute(statement, {"ids": list(waiting)}):
            rows.setdefault(row[0], []).append(row)
        now = time.perf_counter()
        for server_id, found in rows.items():
            seen: Sight = self._how.read(found)
            wait = waiting[server_id]
            if seen.has_failed or wait.until(seen):
                wait.outcome, wait.at = "error" if seen.has_failed else "active", now
                with self._lock:
                    del self._waiting[server_id]
                wait.ended.set()


class Doing:
    """One client at work on one server after the other."""

    def __init__(self, client: Client, watcher: Watcher, *, limit_s: float) -> None:
        self._client = client
        self._watcher = watcher
        self._limit_s = limit_s
        self.posts_s = 0.0

    def ask(self, data: bytes, server_id: str, until: Callable[[Any], bool]) -> str:
        """Ask for something and wait until it is done; return how that ended."""
        answer = self._client.send(data)
        self.posts_s += answer.wait_s
        if answer.status not in (200, 202, 204):
            raise BadAnswer(f"{answer.status} {answer.body[:500]!r}")
        wait = self._watcher.expect(server_id, until)
        deadline = time.perf_counter() + self._limit_s
        while not wait.ended.wait(0.5):
            if self._watcher.failure is not None:
                raise self._watcher.failure
            if time.perf_counter() > deadline:
                return "late"
        return wait.outcome

    def shown(self, server_id: str) -> dict[str, object]:
        """Return what the API shows of a server."""
        return dict(self._client.send(request("GET", f"/servers/{server_id}")).json()["server"])


Deed = Callable[[Doing, str], str]


def act(server_id: str, body: object) -> bytes:
    """Return the request for an action on a server."""
    return request("POST", f"/servers/{server_id}/action", body)


def resize_and_confirm(doing: Doing, server_id: str) -> str:
    """Resize a server and confirm that: to the larger flavor, or back."""
    now = doing.shown(server_id)["flavor"]
    is_larger = isinstance(now, dict) and now["original_name"] == LARGER
    body = {"resize": {"flavorRef": FLAVOR if is_larger else LARGER}}
    outcome = doing.ask(act(server_id, body), server_id, lambda seen: seen.rests and seen.vm_state == "resized")
    if outcome != "active":
        return outcome
    return doing.ask(act(server_id, {"confirmResize": None}), server_id, lambda seen: seen.vm_state == "active")


def migrate_live(doing: Doing, server_id: str) -> str:
    """Have a server migrated live to whichever host."""
    host = doing.shown(server_id)["OS-EXT-SRV-ATTR:host"]
    body = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
    # A migration that failed leaves the server where it was, at rest: it counts as late.
    return doing.ask(act(server_id, body), server_id, lambda seen: seen.rests and seen.host != host)


def delete(doing: Doing, server_id: str) -> str:
    """Delete a server."""
    return doing.ask(request("DELETE", f"/servers/{server_id}"), server_id, lambda seen: seen.is_deleted)


def add_larger_flavor(cloud: Cloud) -> None:
    """Add the flavor that servers are resized to."""
    flavor = {"id": LARGER, "name": LARGER, "vcpus": 1, "ram": 2 * RAM_MIB, "disk": 1}
    with closing(Client(cloud.port)) as client:
        client.send(request("POST", "/flavors", {"flavor": flavor})).json()


def servers_of(cloud: Cloud) -> list[str]:
    """Return the servers that are ACTIVE and at rest."""
    statement = sa.text("SELECT uuid FROM instances WHERE vm_state = 'active' AND task_state IS NULL AND deleted = 0")
    with cloud.where.engine().connect() as connection:
        return [str(row.uuid) for row in connection.execute(statement)]


def drive(
    cloud: Cloud, servers: Sequence[str], deed: Deed, *, clients: int, limit_s: float, look: Look = STATES
) -> Run:
    """Have ``clients`` do something to every server once, each to its next one when the last is done."""
    watcher = Watcher(cloud.where, look)
    watcher.start()
    left, lock = list(servers), threading.Lock()
    done: list[Boot] = []
    failures: list[BaseException] = []
    began = time.perf_counter()

    def life() -> None:
        try:
            with closing(Client(cloud.port)) as client:
                while not failures:
                    with lock:
                        if not left:
                            return
                        server_id = left.pop()
                    doing, asked = Doing(client, watcher, limit_s=limit_s), time.perf_counter()
                    outcome = deed(doing, server_id)
                    with lock:
                        done.append(Boot(asked - began, doing.posts_s, time.perf_counter() - asked, outcome))
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
    return Run(tuple(sorted(done, key=lambda each: each.ended_s)), clients)
