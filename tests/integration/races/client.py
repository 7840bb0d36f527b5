"""A client of several Placement workers: every answer with its worker and its time, threads that begin together."""

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.integration.stack.site import ADDRESS

T = TypeVar("T")

#: The status of a request that nobody answered.
NO_ANSWER = 0
#: Seconds a request gets; the servers' own patience with the database is shorter.
_PATIENCE_S = 600.0
#: Seconds that all threads of a story get together.
_STORY_S = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when (``time.monotonic()``) it was asked and answered."""

    method: str
    path: str
    status: int
    body: Any
    worker: str | None
    retry_after: str | None
    began: float
    ended: float

    @property
    def code(self) -> str | None:
        """Return the code of an error."""
        return self.body["errors"][0].get("code") if self.status >= 400 and isinstance(self.body, dict) else None

    @property
    def detail(self) -> str:
        """Return what an error says."""
        return str(self.body["errors"][0]["detail"]) if self.status >= 400 and isinstance(self.body, dict) else ""

    def __str__(self) -> str:
        told = json.dumps(self.body)[:600] if self.body is not None else ""
        return f"{self.method} {self.path} → {self.status} by {self.worker}: {told}"


class Client:
    """Calls the servers on ``ports``, in turn or the one told. Safe for threads; keeps what must never come."""

    def __init__(self, ports: Sequence[int], version: str = "1.39") -> None:
        self.ports = ports
        self._version = version
        self._turn = itertools.count()
        #: Answers that mean that the service failed: 5xx, or none at all.
        self.failures: list[Answer] = []

    def call(
        self, method: str, path: str, body: object = None, *, at: int | None = None, version: str | None = None
    ) -> Answer:
        """Send one request to server number ``at``, by default to each in turn, and return what came back."""
        port = self.ports[next(self._turn) % len(self.ports) if at is None else at]
        headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": f"placement {version or self._version}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        began = time.monotonic()
        try:
            with contextlib.closing(http.client.HTTPConnection(ADDRESS, port, timeout=_PATIENCE_S)) as connection:
                connection.request(method, path, data, headers)
                response = connection.getresponse()
                text = response.read()
            found = Answer(
                method,
                path,
                response.status,
                json.loads(text) if text else None,
                response.getheader("X-Worker"),
                response.getheader("Retry-After"),
                began,
                time.monotonic(),
            )
        except (OSError, http.client.HTTPException) as exc:
            found = Answer(method, path, NO_ANSWER, repr(exc), None, None, began, time.monotonic())
        if found.status >= 500 or found.status == NO_ANSWER:
            self.failures.append(found)
        return found

    def get(self, path: str, *, at: int | None = None) -> Any:
        """Return the body of a read that must succeed."""
        found = self.call("GET", path, at=at)
        assert found.status == 200, found
        return found.body

    def must(
        self, method: str, path: str, body: object = None, *, at: int | None = None, version: str | None = None
    ) -> Answer:
        """Return the answer to a write that must succeed."""
        found = self.call(method, path, body, at=at, version=version)
        assert 200 <= found.status < 300, found
        return found


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run every work in a thread of its own, all begun together; return what each returned, raise what one raised."""
    gate = threading.Barrier(len(works))
    results: dict[int, T] = {}
    raised: list[BaseException] = []

    def run(number: int, work: Callable[[], T]) -> None:
        gate.wait(timeout=480)
        try:
            results[number] = work()
        except BaseException as exc:  # noqa: BLE001 - raised again below, in the test's own thread
            raised.append(exc)

    threads = [threading.Thread(target=run, args=(number, work), daemon=True) for number, work in enumerate(works)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _STORY_S
    for thread in threads:
        thread.join(timeout=max(0.1, deadline - time.monotonic()))
    if raised:
        raise raised[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return [results[number] for number in range(len(works))]


def flat(parts: Iterable[Iterable[T]]) -> list[T]:
    """Return the items of all parts in one list."""
    return [item for part in parts for item in part]


@contextlib.contextmanager
def meanwhile(*works: Callable[[threading.Event], object]) -> Iterator[None]:
    """Run each work in a thread while the block runs; the event tells them that it has ended. Raises what they raised.

    A work must look at the event again and again, and do at least one round.
    """
    over = threading.Event()
    raised: list[BaseException] = []

    def run(work: Callable[[threading.Event], object]) -> None:
        try:
            work(over)
        except BaseException as exc:  # noqa: BLE001 - raised again below, in the test's own thread
            raised.append(exc)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=_STORY_S)
    if raised:
        raise raised[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
