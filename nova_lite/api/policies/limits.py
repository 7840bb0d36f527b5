"""Rules of limits."""

from nova_lite.api.policies.base import ADMIN, PROJECT_READER_OR_ADMIN, rule

SHOW = "os_compute_api:limits"
SHOW_OTHER = "os_compute_api:limits:other_project"

RULES = (
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show the caller's limits and what is used of them."),
    rule(SHOW_OTHER, ADMIN, "Show another project's limits."),
)
