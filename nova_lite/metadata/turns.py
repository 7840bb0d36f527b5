"""How many requests of one guest are answered at once: one that asks without end takes no turns from the others."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

#: In one process. Guests' software asks one thing after the other.
AT_ONCE = 4


class TooMany(Exception):
    """A guest asks more at once than is answered."""


class Turns:
    """Counts who is being answered; one a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def of(self, instance_uuid: str) -> Iterator[None]:
        """Have a turn of a guest's; raises TooMany."""
        with self._lock:
            if self._taken[instance_uuid] >= AT_ONCE:
                raise TooMany
            self._taken[instance_uuid] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[instance_uuid] -= 1
                if not self._taken[instance_uuid]:
                    del self._taken[instance_uuid]
