"""Rules of the passwords kept of servers."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

SHOW = "os_compute_api:os-server-password:show"
CLEAR = "os_compute_api:os-server-password:clear"

RULES = (
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show the password set inside a server, sealed with its user's key."),
    rule(CLEAR, PROJECT_MEMBER_OR_ADMIN, "Forget the password set inside a server, which does not change it."),
)
