"""An audit: look, look again after a grace, tell what stayed wrong, and repair it if that is wanted.

Only what looked exactly the same both times is a finding: whatever is in flight has moved on, or is open work, which is
not judged at all. A repair then looks a third time, under the locks of what it changes. So nothing in flight is ever
touched, however long the audit takes and whatever else goes on.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nova_lite import errors
from nova_lite.conductor.spanning.auditing import checks
from nova_lite.conductor.spanning.auditing.claims import AmountsOf
from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.conductor.spanning.auditing.looking import Onlooker

LOG = logging.getLogger(__name__)

_OF_CLAIMS = frozenset({Kind.CLAIM_ORPHANED, Kind.CLAIM_MISSING, Kind.CLAIM_WRONG})
_OF_HOSTS = frozenset(
    {
        Kind.GUEST_ON_TWO_HOSTS,
        Kind.GUEST_WITHOUT_INSTANCE,
        Kind.GUEST_ELSEWHERE,
        Kind.GUEST_STALE,
        Kind.INSTANCE_WITHOUT_GUEST,
        Kind.ASIDE_LEFT,
    }
)
_OF_VOLUMES = frozenset(
    {
        Kind.ATTACHMENT_ORPHANED,
        Kind.ATTACHMENT_MISSING,
        Kind.ATTACHMENT_WRONG,
        Kind.ATTACHMENT_UNFINISHED,
        Kind.VOLUME_STUCK,
    }
)


class Outcome(StrEnum):
    """What became of a finding."""

    TOLD = "told"
    REPAIRABLE = "would be repaired"
    REPAIRED = "repaired"
    CHANGED = "left alone, for it changed meanwhile"
    FAILED = "could not be repaired"


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, what became of it, and what to do where nothing was done."""

    finding: Finding
    outcome: Outcome
    advice: str = ""


@dataclass
class Report:
    """What an audit came to. ``silent`` (cells), ``unknown`` (hosts) and ``volumes`` say why those were not judged."""

    judged: list[Judged] = field(default_factory=list)
    silent: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    volumes: str | None = None
    servers: int = 0

    def with_outcome(self, *outcomes: Outcome) -> list[Judged]:
        """Return those findings of which this became."""
        return [each for each in self.judged if each.outcome in outcomes]


#: Repairs one finding; False when it changed meanwhile. Raises what keeps it from being repaired.
Repair = Callable[[Finding], bool]


@dataclass(frozen=True)
class Auditor:
    """Audits. ``repair`` is None to look only. ``grace_s`` lies between two looks."""

    onlooker: Onlooker
    amounts_of: AmountsOf
    repair: Repair | None = None
    grace_s: float = 10.0
    wait: Callable[[float], object] = time.sleep

    def run(self) -> Report:
        """Return what is wrong, and what was done about it. Raises Unavailable as a look does."""
        seen = self.onlooker.look()
        suspects = set(checks.findings(seen, self.amounts_of))
        if suspects:
            self.wait(self.grace_s)
            kinds = {finding.kind for finding in suspects}
            unasked = seen.volumes_unknown
            seen = self.onlooker.look(
                with_claims=bool(kinds & _OF_CLAIMS),
                with_hosts=bool(kinds & _OF_HOSTS),
                with_volumes=bool(kinds & _OF_VOLUMES),
            )
            seen.volumes_unknown = seen.volumes_unknown or unasked
        confirmed = [finding for finding in checks.findings(seen, self.amounts_of) if finding in suspects]
        report = Report(
            silent=seen.silent, unknown=seen.unknown, volumes=seen.volumes_unknown, servers=len(seen.servers)
        )
        for finding in confirmed:
            report.judged.append(self._judged(finding))
        return report

    def _judged(self, finding: Finding) -> Judged:
        if not finding.is_repairable:
            return Judged(finding, Outcome.TOLD, finding.rule.advice)
        if self.repair is None:
            return Judged(finding, Outcome.REPAIRABLE)
        try:
            is_done = self.repair(finding)
        except errors.NovaLiteError as exc:
            LOG.warning("Cannot repair %s of %s: %s %s", finding.kind, finding.subject, exc, exc.facts)
            return Judged(finding, Outcome.FAILED, f"{exc.message} {finding.rule.advice}")
        except Exception:
            LOG.exception("Cannot repair %s of %s", finding.kind, finding.subject)
            return Judged(finding, Outcome.FAILED, f"An internal error happened. {finding.rule.advice}")
        if is_done:
            LOG.warning("Repaired %s of %s: %s", finding.kind, finding.subject, finding.text)
        return Judged(finding, Outcome.REPAIRED if is_done else Outcome.CHANGED)
