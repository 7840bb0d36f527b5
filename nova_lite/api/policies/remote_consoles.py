"""Rules of servers' consoles."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, rule

CREATE = "os_compute_api:os-remote-consoles"

RULES = (rule(CREATE, PROJECT_MEMBER_OR_ADMIN, "Open a server's console."),)
