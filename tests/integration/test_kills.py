"""Processes of a real deployment are killed at random under mixed load; then the audit finds nothing.

The long run of the same: ``python -m tests.integration.kills --minutes 10``.
"""

import pytest

from tests.integration import kills
from tests.integration.stack.deployment import Deployment

pytestmark = pytest.mark.timeout(600)

#: Whoever changes it changes what is killed when; any must do.
SEED = 20


def test_after_kills_at_random_the_audit_finds_nothing(deployment: Deployment) -> None:
    told: list[str] = []
    found = kills.run(deployment, seconds=20, seed=SEED, users=4, most=16, told=told.append)
    assert found == [], told
