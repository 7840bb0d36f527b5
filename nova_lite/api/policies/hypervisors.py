"""Rules of hypervisors."""

from nova_lite.api.policies.base import ADMIN, rule

INDEX = "os_compute_api:os-hypervisors:list"
DETAIL = "os_compute_api:os-hypervisors:list-detail"
SHOW = "os_compute_api:os-hypervisors:show"
STATISTICS = "os_compute_api:os-hypervisors:statistics"
UPTIME = "os_compute_api:os-hypervisors:uptime"
SEARCH = "os_compute_api:os-hypervisors:search"
SERVERS = "os_compute_api:os-hypervisors:servers"

RULES = (
    rule(INDEX, ADMIN, "List hypervisors."),
    rule(DETAIL, ADMIN, "List hypervisors with details."),
    rule(SHOW, ADMIN, "Show a hypervisor."),
    rule(STATISTICS, ADMIN, "Show what all hypervisors have and use together."),
    rule(UPTIME, ADMIN, "Show how long a hypervisor's host is up."),
    rule(SEARCH, ADMIN, "Find hypervisors by a part of their name."),
    rule(SERVERS, ADMIN, "List the servers of hypervisors found by a part of their name."),
)
