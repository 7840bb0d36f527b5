"""Rules of how a server's host was chosen."""

from nova_lite.api.policies.base import ADMIN, PROJECT_READER_OR_ADMIN, rule

SHOW = "os_compute_api:servers:scheduling"
SHOW_HOSTS = "os_compute_api:servers:scheduling:hosts"

RULES = (
    rule(SHOW, PROJECT_READER_OR_ADMIN, "See how a server's host was chosen, or why none was."),
    rule(SHOW_HOSTS, ADMIN, "See in that which hosts there were, and why each was refused."),
)
