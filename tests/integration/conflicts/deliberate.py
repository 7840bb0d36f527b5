"""Wherein answers about servers in wrong states are meant to differ from the real Nova's, each with its reason. Pure.

Nothing else may differ, and what differs no more fails, too.
"""

import re
from dataclasses import dataclass

from tests.integration.conflicts.asked import Asked


@dataclass(frozen=True)
class Deliberate:
    """Patterns of situations and of requests, and both statuses; 2 is any good one."""

    reason: str
    situation: str
    request: str
    theirs: int
    ours: int

    def covers(self, asked: Asked, theirs: int, ours: int) -> bool:
        """Return whether a difference is one of these."""
        return (
            re.fullmatch(self.situation, asked[0].name) is not None
            and re.fullmatch(self.request, asked[1].name) is not None
            and (self.theirs, self.ours) == (_kind(theirs), _kind(ours))
        )


def _kind(status: int) -> int:
    return 2 if status < 300 else status


_WAITING, _BUSY = "waiting for a cell", r"active \S+"
DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate("its own error: it looks for a row that is not there yet", _WAITING,
               "lock|unlock|os-resetState", 500, 409),
    Deliberate("the same, where nothing forbids it", _WAITING, "forget password|unpin", 500, 2),
    Deliberate("a server that waits is there, in state building", _WAITING,
               "os-start|os-stop|trigger_crash_dump", 404, 409),
    Deliberate("it has tags, too", _WAITING, "tags", 404, 2),
    Deliberate("its metadata is there, and cannot be changed yet", _WAITING, "delete metadata", 404, 409),
    Deliberate("its own error: it asks a host that is none", ".*", "injectNetworkInfo", 500, 2),
    Deliberate("its own error: this refusal is one that it did not foresee there",
               "active (deleting|migrating)", "console|os-getVNCConsole", 500, 409),
    Deliberate("a console ends where a guest is being stopped or moved: no new one is opened meanwhile",
               "active (powering-off|resize_prep)", "console|os-getVNCConsole", 2, 409),
    Deliberate("there the host finds out that the guest does not run", "(?!active).*", "diagnostics", 2, 409),
    Deliberate("a server that is busy is not taken away from who is at it", _BUSY, "evacuate.*", 400, 409),
    Deliberate("what is being deleted stays so", "active deleting", "os-resetState", 2, 409),
    Deliberate("what is on no host is not said to be active", "in cell0|on a volume, offloaded",
               "os-resetState", 2, 409),
    Deliberate("there the host finds out that the disk would not fit, long after 202",
               "active|stopped", "resize", 2, 400),
    Deliberate("an id that no image has is told after the state", "suspended.*", "rebuild from no id", 400, 409),
    Deliberate("a server of others is not there: that comes before what its caller may do", "active",
               "delete tag", 403, 404),
)  # fmt: skip
