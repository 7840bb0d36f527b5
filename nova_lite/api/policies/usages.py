"""Rules of what projects used."""

from nova_lite.api.policies.base import ADMIN, PROJECT_READER_OR_ADMIN, rule

INDEX = "os_compute_api:os-simple-tenant-usage:list"
SHOW = "os_compute_api:os-simple-tenant-usage:show"

RULES = (
    rule(INDEX, ADMIN, "Show what every project used."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show what one project used."),
)
