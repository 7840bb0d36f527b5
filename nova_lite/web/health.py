"""Whether this process can do its work: checks with a deadline, asked often and by anyone, so remembered a moment."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nova_lite import errors

_log = logging.getLogger(__name__)

#: Seconds a check may take.
_PATIENCE_S = 2.0
#: Seconds a result is good for.
_KEEP_S = 1.0


@dataclass
class _Attempt:
    """One run of a check, in a thread of its own: what a lost connection holds cannot be interrupted."""

    ended: threading.Event
    complaint: str | None = None


class Health:
    """The checks of one process, by what they look at. A check raises Unavailable, saying why, or returns."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], object]],
        *,
        patience_s: float = _PATIENCE_S,
        keep_s: float = _KEEP_S,
    ) -> None:
        self._checks = checks
        self._patience_s = patience_s
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._attempts: dict[str, _Attempt] = {}
        self._complaints: dict[str, str] = {}
        self._looked_at = float("-inf")

    def complaints(self) -> dict[str, str]:
        """Return what fails and why, nothing when all is well; within the patience for each check."""
        with self._lock:
            if time.monotonic() - self._looked_at >= self._keep_s:
                found = {name: why for name in self._checks if (why := self._complaint(name)) is not None}
                if found != self._complaints:
                    _log.warning(
                        "health: %s", "; ".join(f"{name}: {why}" for name, why in found.items()) or "well again"
                    )
                self._complaints = found
                self._looked_at = time.monotonic()
            return dict(self._complaints)

    def _complaint(self, name: str) -> str | None:
        attempt = self._attempts.get(name)
        if attempt is None:
            attempt = self._attempts[name] = _Attempt(threading.Event())
            threading.Thread(target=self._run, args=(name, attempt), name=f"health-{name}", daemon=True).start()
        # One that hangs is waited for again, never doubled.
        if not attempt.ended.wait(self._patience_s):
            return f"no answer within {self._patience_s:g} s"
        del self._attempts[name]
        return attempt.complaint

    def _run(self, name: str, attempt: _Attempt) -> None:
        attempt.complaint = "the check itself failed"
        try:
            self._checks[name]()
            attempt.complaint = None
        except errors.NovaLiteError as exc:
            attempt.complaint = exc.message
        finally:
            attempt.ended.set()
