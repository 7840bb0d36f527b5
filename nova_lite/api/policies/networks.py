"""Rules of networks, floating IPs and security groups, as old clients ask this API for them."""

from nova_lite.api.policies.base import ANYONE, PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

NETWORKS_LIST = "os_compute_api:os-networks:list"
NETWORKS_SHOW = "os_compute_api:os-networks:show"
TENANT_NETWORKS_LIST = "os_compute_api:os-tenant-networks:list"
TENANT_NETWORKS_SHOW = "os_compute_api:os-tenant-networks:show"
FLOATING_IP_POOLS = "os_compute_api:os-floating-ip-pools"
FLOATING_IPS_LIST = "os_compute_api:os-floating-ips:list"
FLOATING_IPS_SHOW = "os_compute_api:os-floating-ips:show"
FLOATING_IPS_CREATE = "os_compute_api:os-floating-ips:create"
FLOATING_IPS_DELETE = "os_compute_api:os-floating-ips:delete"
SECURITY_GROUPS_LIST = "os_compute_api:os-security-groups:get"
SECURITY_GROUPS_SHOW = "os_compute_api:os-security-groups:show"
SECURITY_GROUPS_CREATE = "os_compute_api:os-security-groups:create"
SECURITY_GROUPS_UPDATE = "os_compute_api:os-security-groups:update"
SECURITY_GROUPS_DELETE = "os_compute_api:os-security-groups:delete"
RULES_CREATE = "os_compute_api:os-security-groups:rule:create"
RULES_DELETE = "os_compute_api:os-security-groups:rule:delete"

RULES = (
    rule(NETWORKS_LIST, PROJECT_READER_OR_ADMIN, "List networks, up to 2.35: there are none."),
    rule(NETWORKS_SHOW, PROJECT_READER_OR_ADMIN, "Show a network, up to 2.35: there are none."),
    rule(TENANT_NETWORKS_LIST, PROJECT_READER_OR_ADMIN, "List a project's networks, up to 2.35: there are none."),
    rule(TENANT_NETWORKS_SHOW, PROJECT_READER_OR_ADMIN, "Show a project's network, up to 2.35: there are none."),
    rule(FLOATING_IP_POOLS, ANYONE, "List pools of floating IPs, up to 2.35: there are none."),
    rule(FLOATING_IPS_LIST, PROJECT_READER_OR_ADMIN, "List floating IPs, up to 2.35: there are none."),
    rule(FLOATING_IPS_SHOW, PROJECT_READER_OR_ADMIN, "Show a floating IP, up to 2.35: there are none."),
    rule(FLOATING_IPS_CREATE, PROJECT_MEMBER_OR_ADMIN, "Take a floating IP, up to 2.35: refused."),
    rule(FLOATING_IPS_DELETE, PROJECT_MEMBER_OR_ADMIN, "Give a floating IP back, up to 2.35: there are none."),
    rule(SECURITY_GROUPS_LIST, PROJECT_READER_OR_ADMIN, "List security groups, up to 2.35: there are none."),
    rule(SECURITY_GROUPS_SHOW, PROJECT_READER_OR_ADMIN, "Show a security group, up to 2.35: there are none."),
    rule(SECURITY_GROUPS_CREATE, PROJECT_MEMBER_OR_ADMIN, "Make a security group, up to 2.35: refused."),
    rule(SECURITY_GROUPS_UPDATE, PROJECT_MEMBER_OR_ADMIN, "Change a security group, up to 2.35: there are none."),
    rule(SECURITY_GROUPS_DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete a security group, up to 2.35: there are none."),
    rule(RULES_CREATE, PROJECT_MEMBER_OR_ADMIN, "Make a rule of a security group, up to 2.35: refused."),
    rule(RULES_DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete a rule of a security group, up to 2.35: there are none."),
)
