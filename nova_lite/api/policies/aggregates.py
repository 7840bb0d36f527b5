"""Rules of host aggregates."""

from nova_lite.api.policies.base import ADMIN, rule

INDEX = "os_compute_api:os-aggregates:index"
SHOW = "os_compute_api:os-aggregates:show"

RULES = (
    rule(INDEX, ADMIN, "List host aggregates."),
    rule(SHOW, ADMIN, "Show a host aggregate."),
)
