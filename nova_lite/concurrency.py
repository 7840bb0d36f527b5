"""The only module that knows which threads a daemon runs on: native ones, or eventlet's green ones.

``[service] executor`` decides, before anything else is imported that could start a thread. WSGI applications never
call ``use``: they run on the server's native threads.
"""

import functools
import heapq
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor as StandardExecutor
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

LOG = logging.getLogger(__name__)

Executor = Literal["threading", "eventlet"]

#: Seconds between two looks of who waits for what tells nobody when it comes.
_LOOK_S = 0.05

_in_use: Executor = "threading"


def use(executor: Executor) -> None:
    """Choose what this process's threads are; for eventlet, patch the standard library. Call it first in ``main``."""
    global _in_use  # noqa: PLW0603 - a process has one kind of threads; this is the place that knows it.
    if executor == "eventlet":
        import eventlet  # noqa: PLC0415 - importing it must not touch processes that run on native threads.

        eventlet.monkey_patch()
    _in_use = executor


def messaging_executor() -> Executor:
    """Return the oslo.messaging executor that fits."""
    return _in_use


def messaging_pool() -> Callable[..., StandardExecutor] | None:
    """Return what makes the threads that answer messages; None where oslo.messaging's own pool is to do it.

    Idle threads of its own pool wake each second to see whether they are to end, and so end up to a second late.
    """
    return functools.partial(ThreadPoolExecutor, thread_name_prefix="message") if _in_use == "threading" else None


def call_blocking(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a C library's blocking call where it blocks nobody: under eventlet on a native thread, else right here."""
    if _in_use == "eventlet":
        from eventlet import tpool  # noqa: PLC0415 - see use()

        return tpool.execute(function, *args, **kwargs)
    return function(*args, **kwargs)


class Pool:
    """A bounded set of threads for long work."""

    def __init__(self, threads: int, name: str) -> None:
        self._executor: StandardExecutor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        if _in_use == "eventlet":
            import futurist  # noqa: PLC0415 - the standard pool's own locks are not green.

            self._executor = futurist.GreenThreadPoolExecutor(max_workers=threads)

    def submit(self, function: Callable[..., object], *args: object) -> Future[object]:
        """Run ``function`` soon; raises RuntimeError after ``stop``."""
        return self._executor.submit(function, *args)

    def stop(self) -> None:
        """Take no more work and wait for what runs."""
        self._executor.shutdown(wait=True)


class Ticker:
    """Calls a function every so many seconds on a thread of its own, until stopped.

    The next call begins ``interval_s()`` after the last one ended; while that is 0 or less there is none. Whoever
    knows that it changed calls ``reconsider``. What the function raises is logged and ends that call only: a daemon
    that ticks no more would look alive and do nothing.
    """

    def __init__(
        self, interval_s: Callable[[], float], function: Callable[[], None], name: str, *, at_once: bool = False
    ) -> None:
        self._interval_s = interval_s
        self._function = function
        self._changed = threading.Condition()
        self._is_stopped = False
        self._at_once = at_once
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def reconsider(self) -> None:
        """Have a wait that is under way last as long as the interval is now."""
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        if self._at_once and self._interval_s() > 0:
            self._tick()
        while self._wait():
            self._tick()

    def _wait(self) -> bool:
        """Return True when the next call is due, False when stopped."""
        began = time.monotonic()
        with self._changed:
            while not self._is_stopped:
                interval_s = self._interval_s()
                left_s = began + interval_s - time.monotonic()
                if interval_s > 0 >= left_s:
                    return True
                self._changed.wait(left_s if interval_s > 0 else None)
        return False

    def _tick(self) -> None:
        try:
            self._function()
        except Exception:
            LOG.exception("%s failed", self._thread.name)

    def stop(self, *, wait_s: float | None = None) -> None:
        """Stop ticking and wait for the call under way, for ``wait_s`` at most."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(wait_s)


class Alarm:
    """Calls a function with what was set, each when it is due, on one thread of its own.

    What the function raises is logged; what is not due at ``stop`` is lost.
    """

    def __init__(self, function: Callable[[str], None], name: str) -> None:
        self._function = function
        self._changed = threading.Condition()
        self._due: list[tuple[float, str]] = []
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def set(self, what: str, delay_s: float) -> None:
        """Have the function called with ``what`` in ``delay_s``."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay_s, what))
            self._changed.notify()

    def stop(self) -> None:
        """Call nothing any more, and wait for the call under way."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (what := self._next()) is not None:
            try:
                self._function(what)
            except Exception:
                LOG.exception("%s failed", self._thread.name)

    def _next(self) -> str | None:
        """Return what is due, as soon as something is; None when stopped."""
        with self._changed:
            while not self._is_stopped:
                left_s = self._due[0][0] - time.monotonic() if self._due else None
                if left_s is not None and left_s <= 0:
                    return heapq.heappop(self._due)[1]
                self._changed.wait(left_s)
        return None


class Tally:
    """Counts events by what they are, from many threads, for whoever takes the counts away."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def add(self, *which: str, number: int = 1) -> None:
        """Count ``number`` more events."""
        with self._guard:
            self._counts[which] += number

    def take(self) -> dict[tuple[str, ...], int]:
        """Return what was counted since this was last called."""
        with self._guard:
            counts, self._counts = self._counts, Counter()
        return dict(counts)


class KeyedLocks:
    """One lock a key, for as long as somebody holds or wants it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    def hold(self, key: str) -> "_Held":
        """Return a context manager that holds ``key``'s lock."""
        return _Held(self, key)

    def _take(self, key: str) -> threading.Lock:
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        lock.acquire()
        return lock

    def _drop(self, key: str) -> None:
        with self._guard:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
        lock.release()


class _Held:
    def __init__(self, locks: KeyedLocks, key: str) -> None:
        self._locks = locks
        self._key = key

    def __enter__(self) -> None:
        self._locks._take(self._key)

    def __exit__(self, *exc: object) -> None:
        self._locks._drop(self._key)


def comes_true(is_so: Callable[[], bool], within_s: float) -> bool:
    """Return whether ``is_so`` is true, or becomes so within so many seconds; looks 20 times a second."""
    end = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK_S)
    return True


def monotonic() -> float:
    """Return seconds on a clock that never steps."""
    return time.monotonic()
