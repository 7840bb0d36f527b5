"""Rules of what a server has of networks."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

ADDRESSES = "os_compute_api:ips:index"
ADDRESSES_SHOW = "os_compute_api:ips:show"
INTERFACES = "os_compute_api:os-attach-interfaces:list"
INTERFACES_SHOW = "os_compute_api:os-attach-interfaces:show"
INTERFACES_CREATE = "os_compute_api:os-attach-interfaces:create"
INTERFACES_DELETE = "os_compute_api:os-attach-interfaces:delete"
FIXED_IPS_ADD = "os_compute_api:os-multinic:add"
FIXED_IPS_REMOVE = "os_compute_api:os-multinic:remove"
FLOATING_IPS_ADD = "os_compute_api:os-floating-ips:add"
FLOATING_IPS_REMOVE = "os_compute_api:os-floating-ips:remove"
SECURITY_GROUPS_ADD = "os_compute_api:os-security-groups:add"
SECURITY_GROUPS_REMOVE = "os_compute_api:os-security-groups:remove"
SECURITY_GROUPS = "os_compute_api:os-security-groups:list"

RULES = (
    rule(ADDRESSES, PROJECT_READER_OR_ADMIN, "Show a server's addresses."),
    rule(ADDRESSES_SHOW, PROJECT_READER_OR_ADMIN, "Show a server's addresses in one network."),
    rule(INTERFACES, PROJECT_READER_OR_ADMIN, "List a server's network interfaces."),
    rule(INTERFACES_SHOW, PROJECT_READER_OR_ADMIN, "Show one of a server's network interfaces."),
    rule(INTERFACES_CREATE, PROJECT_MEMBER_OR_ADMIN, "Give a server a network interface: refused."),
    rule(INTERFACES_DELETE, PROJECT_MEMBER_OR_ADMIN, "Take a network interface from a server: it has none."),
    rule(FIXED_IPS_ADD, PROJECT_MEMBER_OR_ADMIN, "Give a server a fixed IP, up to 2.43: refused."),
    rule(FIXED_IPS_REMOVE, PROJECT_MEMBER_OR_ADMIN, "Take a fixed IP from a server, up to 2.43: refused."),
    rule(FLOATING_IPS_ADD, PROJECT_MEMBER_OR_ADMIN, "Give a server a floating IP, up to 2.43: refused."),
    rule(FLOATING_IPS_REMOVE, PROJECT_MEMBER_OR_ADMIN, "Take a floating IP from a server, up to 2.43: refused."),
    rule(SECURITY_GROUPS_ADD, PROJECT_MEMBER_OR_ADMIN, "Put a server into a security group: refused."),
    rule(SECURITY_GROUPS_REMOVE, PROJECT_MEMBER_OR_ADMIN, "Take a server out of a security group: refused."),
    rule(SECURITY_GROUPS, PROJECT_READER_OR_ADMIN, "List the security groups that a server is in."),
)
