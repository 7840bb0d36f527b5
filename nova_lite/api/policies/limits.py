"""Rules of limits."""

from nova_lite.api.policies.base import ADMIN, ANYONE, rule

SHOW = "os_compute_api:limits"
SHOW_OTHER = "os_compute_api:limits:other_project"

RULES = (
    rule(SHOW, ANYONE, "Show the caller's limits and what is used of them."),
    rule(SHOW_OTHER, ADMIN, "Show another project's limits."),
)
