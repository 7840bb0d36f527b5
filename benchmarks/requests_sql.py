"""SQL statements that requests cost, counted in an embedded cloud inside this process.

Heartbeats and scans run beside the requests: the lowest of several counts is the request's own.
"""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from falcon.testing import Result as Answer
from falcon.testing import TestClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from benchmarks import process
from benchmarks.results import Result
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser

#: Seconds without a statement after which nothing more is expected.
_QUIET_S = 0.1
_SETTLED = {"conductor": {"scan_interval": "60", "lease": "60"}, "DEFAULT": {"report_interval": "60"}}


class _Counter:
    """Counts the statements of every engine of this process, but for those of the thread that counts.

    The words that begin and end transactions are not counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mine = threading.get_ident()
        self.count = 0

    def __call__(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if threading.get_ident() != self._mine and not statement.startswith(
            ("BEGIN", "PRAGMA", "SAVEPOINT", "RELEASE")
        ):
            with self._lock:
                self.count += 1

    def settled(self) -> int:
        """Return the count once nothing was added for a while."""
        seen = -1
        while seen != self.count:
            seen = self.count
            time.sleep(_QUIET_S)
        return seen


@contextlib.contextmanager
def _counting() -> Iterator[_Counter]:
    counter = _Counter()
    event.listen(Engine, "before_cursor_execute", counter)
    try:
        yield counter
    finally:
        event.remove(Engine, "before_cursor_execute", counter)


def run(*, quick: bool) -> list[Result]:
    """Count the statements of single requests, and of everything a boot and a delete set going."""
    with process.state_dir() as path, clouds.running(path, options=_SETTLED) as cloud, _counting() as counter:
        return _measure(cloud, counter, 3 if quick else 8)


def _measure(cloud: Cloud, counter: _Counter, rounds: int) -> list[Result]:
    image = ImageDirectory(cloud.settings.image_dir).images()[0].id
    user, looker = ComputeUser(cloud.compute_url), clouds.wsgi(cloud)
    counts: dict[str, list[int]] = {}

    def count(case: str, act: Callable[[], Any]) -> Any:
        before = counter.settled()
        answer = act()
        counts.setdefault(case, []).append(counter.count - before)
        return answer

    for _ in range(rounds):
        begun = counter.settled()
        server_id = count("POST /servers", lambda: user.boot("counted", image))
        _wait(looker, server_id, lambda answer: answer.json["server"]["status"] == "ACTIVE")
        counts.setdefault("boot, all processes", []).append(counter.settled() - begun)
        count("GET /servers/{id}", functools.partial(user.ask, "GET", f"/servers/{server_id}"))
        count("GET /servers/detail", functools.partial(user.ask, "GET", "/servers/detail"))
        begun = counter.settled()
        count("DELETE /servers/{id}", functools.partial(user.ask, "DELETE", f"/servers/{server_id}"))
        _wait(looker, server_id, lambda answer: answer.status_code == 404)
        counts.setdefault("delete, all processes", []).append(counter.settled() - begun)
    user.close()
    return [Result(case, min(found), "statements", max(found), rounds) for case, found in counts.items()]


def _wait(looker: TestClient, server_id: str, is_so: Callable[[Answer], bool]) -> None:
    """Wait for a server, looking from this thread, whose statements do not count."""
    clouds.eventually(lambda: is_so(looker.simulate_get(f"/v2.1/servers/{server_id}")), f"server {server_id} settles")
