"""Consoles that are open, and what ends one whose token was revoked.

Nobody tells a proxy of that: it asks the cells again and again, and what they know then is what counts, whoever died
or was restarted in between.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from nova_lite import concurrency
from nova_lite.console.gate import Admitted

#: Seconds for which a console stays open though its cell tells nothing of it.
UNSEEN_S = 300.0
_UNSEEN = "its cell has not been heard of for too long"


class Sessions:
    """Belongs to one loop: everything is called there."""

    def __init__(self) -> None:
        #: By what each was opened → who is to be told that it ends: a token may be used by several.
        self._open: defaultdict[Admitted, set[asyncio.Future[str]]] = defaultdict(set)
        #: When a cell last said that it may be open (``monotonic``).
        self._seen_at: dict[Admitted, float] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    @contextmanager
    def opened(self, admitted: Admitted) -> Iterator["asyncio.Future[str]"]:
        """Count a console as open; what is yielded is done when it may be open no longer, and says why."""
        ending: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._seen_at.setdefault(admitted, concurrency.monotonic())
        self._open[admitted].add(ending)
        try:
            yield ending
        finally:
            ending.cancel()
            self._open[admitted].discard(ending)
            if not self._open[admitted]:
                del self._open[admitted], self._seen_at[admitted]

    async def open_now(self) -> list[Admitted]:
        """Return by what consoles are open."""
        return list(self._open)

    async def settle(self, asked: Collection[Admitted], found: Mapping[Admitted, str | None]) -> None:
        """End those that may be open no longer: ``found`` has why, or None; what it lacks could not be found out."""
        now = concurrency.monotonic()
        for admitted in self._open.keys() & set(asked):
            if admitted in found:
                self._seen_at[admitted] = now
            why = found.get(admitted)
            if now - self._seen_at[admitted] > UNSEEN_S:
                why = _UNSEEN
            for ending in self._open[admitted]:
                if why is not None and not ending.done():
                    ending.set_result(why)
