"""Faults played on purpose: errors, delays and stops that a test or a demonstration scripts per driver method."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field


class Gate:
    """A place where a caller waits until it is let through.

    ``reached`` is set as soon as a caller stands before the gate; ``open()`` lets that one and all later ones pass.
    A caller waits ``deadline_s`` at most, so that a forgotten gate fails a test instead of hanging it.
    """

    def __init__(self, deadline_s: float = 150.0) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()
        self._deadline_s = deadline_s

    def open(self) -> None:
        """Let the callers pass."""
        self._opened.set()

    def pass_through(self) -> None:
        """Wait until the gate is open."""
        self.reached.set()
        if not self._opened.wait(self._deadline_s):
            raise TimeoutError(f"nobody opened the gate within {self._deadline_s} s")


@dataclass(slots=True)
class _Plan:
    """What will happen to the next calls of one method, at one end of it."""

    delay_s: float = 0.0
    gate: Gate | None = None
    errors: list[Exception] = field(default_factory=list)
    always: Exception | None = None


class FaultScript:
    """Which calls fail, wait or stop. Costs one dictionary look-up where nothing is scripted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: dict[tuple[str, bool], _Plan] = {}
        self._calls: Counter[str] = Counter()

    def fail(self, method: str, error: Exception, *, times: int | None = 1, after: bool = False) -> None:
        """Make the next ``times`` calls (None: all) of ``method`` raise ``error``.

        ``after`` lets the method do its work first: the answer is lost, not the deed.
        """
        with self._lock:
            plan = self._plan(method, after)
            if times is None:
                plan.always = error
            else:
                plan.errors.extend([error] * times)

    def delay(self, method: str, seconds: float, *, after: bool = False) -> None:
        """Make every call of ``method`` take ``seconds`` longer."""
        with self._lock:
            self._plan(method, after).delay_s = seconds

    def hold(self, method: str, *, after: bool = False) -> Gate:
        """Make every call of ``method`` stop at the returned gate, before its work or ``after`` it."""
        with self._lock:
            plan = self._plan(method, after)
            plan.gate = gate = Gate()
            return gate

    def clear(self, method: str | None = None) -> None:
        """Forget what was scripted for ``method`` (None: for all)."""
        with self._lock:
            for key in [key for key in self._plans if method in (None, key[0])]:
                del self._plans[key]

    def calls(self, method: str) -> int:
        """Return how often ``method`` was called."""
        return self._calls[method]

    def play(self, method: str, *, after: bool = False) -> None:
        """Do what was scripted for this call; the driver calls it where a method begins and where it ends."""
        with self._lock:
            if not after:
                self._calls[method] += 1
            plan = self._plans.get((method, after))
            if plan is None:
                return
            error = plan.errors.pop(0) if plan.errors else plan.always
            delay_s, gate = plan.delay_s, plan.gate
        if delay_s:
            time.sleep(delay_s)
        if gate is not None:
            gate.pass_through()
        if error is not None:
            raise error

    def _plan(self, method: str, after: bool) -> _Plan:
        return self._plans.setdefault((method, after), _Plan())
