"""Rules of what a server has of networks."""

from nova_lite.api.policies.base import PROJECT_READER_OR_ADMIN, rule

ADDRESSES = "os_compute_api:ips:index"
ADDRESSES_SHOW = "os_compute_api:ips:show"
INTERFACES = "os_compute_api:os-attach-interfaces:list"
INTERFACES_SHOW = "os_compute_api:os-attach-interfaces:show"
SECURITY_GROUPS = "os_compute_api:os-security-groups:list"

RULES = (
    rule(ADDRESSES, PROJECT_READER_OR_ADMIN, "Show a server's addresses."),
    rule(ADDRESSES_SHOW, PROJECT_READER_OR_ADMIN, "Show a server's addresses in one network."),
    rule(INTERFACES, PROJECT_READER_OR_ADMIN, "List a server's network interfaces."),
    rule(INTERFACES_SHOW, PROJECT_READER_OR_ADMIN, "Show one of a server's network interfaces."),
    rule(SECURITY_GROUPS, PROJECT_READER_OR_ADMIN, "List the security groups that a server is in."),
)
