"""What the sample generators of oslo.policy ask for: every rule of each API, with the building blocks they name."""

from oslo_policy import policy as oslo_policy

from nova_lite.api.policies import registry
from nova_lite.placement import policies as placement_policies
from nova_lite.web.policy import BASE_RULES


def compute_rules() -> list[oslo_policy.RuleDefault]:
    """Return the rules of the Compute API."""
    return [*BASE_RULES, *registry.rules()]


def placement_rules() -> list[oslo_policy.RuleDefault]:
    """Return the rules of the Placement API."""
    return [*BASE_RULES, *placement_policies.BLOCKS, *placement_policies.RULES]
