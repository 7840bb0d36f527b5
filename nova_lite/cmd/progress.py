"""Tells on standard error how far a long command has come: nothing for two seconds, then a line every two."""

import sys

from nova_lite import concurrency

_INTERVAL_S = 2.0


class Progress:
    """Call it with how far the work is, as often as you like."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._told_at = concurrency.monotonic()

    def __call__(self, text: str) -> None:
        now = concurrency.monotonic()
        if now - self._told_at >= _INTERVAL_S:
            self._told_at = now
            print(f"{self._title}: {text}", file=sys.stderr, flush=True)
