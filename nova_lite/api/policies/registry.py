"""Every rule of the Compute API, noun by noun."""

from oslo_policy import policy as oslo_policy

from nova_lite.api.policies import servers


def rules() -> list[oslo_policy.RuleDefault]:
    """Return every rule, for the application and for the sample policy generator."""
    return [
        *servers.RULES,
    ]
