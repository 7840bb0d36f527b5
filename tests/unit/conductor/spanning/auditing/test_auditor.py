"""What becomes of findings that cannot be repaired: each is told, and the others are judged all the same."""

from dataclasses import dataclass
from typing import cast

import pytest

from nova_lite import errors
from nova_lite.conductor.spanning.auditing.auditor import Auditor, Outcome
from nova_lite.conductor.spanning.auditing.claims import AmountsOf
from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.conductor.spanning.auditing.looking import Onlooker
from nova_lite.model.sightings import Seen


@dataclass
class Sight:
    """Sees two requests for servers that are gone, whenever it looks."""

    def look(self, *, with_claims: bool = True, with_hosts: bool = True, with_volumes: bool = True) -> Seen:
        return Seen(lone_specs={"one", "two"})


def no_amounts(*_: object) -> dict[str, int]:
    return {}


@pytest.mark.parametrize("failure", [errors.Unavailable("The database does not answer."), ValueError("a bug")])
def test_a_repair_that_fails_ends_no_audit(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    tried: list[str] = []

    def repair(finding: Finding) -> bool:
        tried.append(finding.subject)
        if len(tried) == 1:
            raise failure
        return True

    auditor = Auditor(cast(Onlooker, Sight()), cast(AmountsOf, no_amounts), repair, wait=lambda seconds: None)
    judged = auditor.run().judged
    assert [each.finding.kind for each in judged] == [Kind.REQUEST_SPEC_LEFT] * 2
    assert [each.outcome for each in judged] == [Outcome.FAILED, Outcome.REPAIRED]
    assert "Cannot repair" in caplog.text
    assert "a bug" not in judged[0].advice
