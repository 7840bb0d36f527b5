"""Rules of availability zones."""

from nova_lite.api.policies.base import ADMIN, ANYONE, rule

INDEX = "os_compute_api:os-availability-zone:list"
DETAIL = "os_compute_api:os-availability-zone:detail"

RULES = (
    rule(INDEX, ANYONE, "List availability zones."),
    rule(DETAIL, ADMIN, "List availability zones with their hosts and services."),
)
