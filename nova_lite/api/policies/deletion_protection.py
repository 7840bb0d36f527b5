"""Rules of what protects servers from being deleted."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

SHOW = "os_compute_api:servers:deletion_protection:show"
SET = "os_compute_api:servers:deletion_protection:set"

RULES = (
    rule(SHOW, PROJECT_READER_OR_ADMIN, "See whether a server is protected from being deleted."),
    rule(SET, PROJECT_MEMBER_OR_ADMIN, "Protect a server from being deleted, or let it be deleted again."),
)
