"""Wherein our answers are meant to differ from the real Nova's in these two clouds, each with its reason. Pure.

Nothing else may differ, and what differs no more fails, too.
"""

import re
from dataclasses import dataclass

from tests.integration.answers.shapes import Difference


@dataclass(frozen=True)
class Deliberate:
    """Patterns of a path and of a place in its document, and what each has there; None for anything."""

    reason: str
    path: str
    where: str
    theirs: str | None = None
    ours: str | None = None

    def covers(self, found: Difference) -> bool:
        """Return whether a difference is one of these."""
        return (
            re.fullmatch(self.path, found.path) is not None
            and re.fullmatch(self.where, found.where) is not None
            and self.theirs in (None, found.theirs)
            and self.ours in (None, found.ours)
        )


DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate(
        "its own error, where it finds no bare metal service: its reference names 501",
        "/os-baremetal-nodes",
        "status",
        "500",
        "501",
    ),
    Deliberate(
        "which host did it is noted when an event ends",
        "/servers/.*/os-instance-actions/.*",
        r"/instanceAction/events\[\]/host",
        "text",
        "null",
    ),
    Deliberate(
        "the same for whoever may not know hosts",
        "/servers/.*/os-instance-actions/.*",
        r"/instanceAction/events\[\]/hostId",
        "56 hexadecimal digits",
        "empty",
    ),
    Deliberate(
        "new metadata of an aggregate is a change of it",
        "/os-aggregates.*",
        r"/aggregates?(\[\])?/updated_at",
        "null",
        "date with microseconds",
    ),
    Deliberate(
        "every cell is asked for hosts, there cell0 alone, which has none",
        "/os-instance_usage_audit_log.*",
        r"/instance_usage_audit_logs?/hosts_not_run(\[\])?",
    ),
)
