"""How long the database takes for what a boot asks it about its project's quota."""

import time
from typing import Any

from sqlalchemy import event

from nova_lite.db.repositories import mappings, quotas
from nova_lite.storage import Database


class _Stopwatch:
    """Adds up how long statements take, from being sent to being answered."""

    def __init__(self) -> None:
        self._began = 0.0
        self.took_s = 0.0

    def begin(self, *_about: Any) -> None:
        self._began = time.perf_counter()

    def end(self, *_about: Any) -> None:
        self.took_s += time.perf_counter() - self._began


def check(api: Database, project_id: str, *, rounds: int) -> tuple[int, list[float]]:
    """Return how many servers a project has, and for each round the ms its check took at the database.

    A check is one transaction: lock the project, read its limits, count.
    """
    samples_ms = []
    used = 0
    for number in range(rounds + 1):
        watch = _Stopwatch()
        with api.writer() as session:
            engine = session.get_bind()
            event.listen(engine, "before_cursor_execute", watch.begin)
            event.listen(engine, "after_cursor_execute", watch.end)
            try:
                quotas.lock(session, project_id)
                quotas.limits(session, project_id)
                used = mappings.usage(session, project_id)[0]
            finally:
                event.remove(engine, "before_cursor_execute", watch.begin)
                event.remove(engine, "after_cursor_execute", watch.end)
        if number > 0:
            samples_ms.append(watch.took_s * 1000)
    return used, samples_ms
