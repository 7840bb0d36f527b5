"""Rules of hosts, as old clients know them."""

from nova_lite.api.policies.base import ADMIN, rule

LIST = "os_compute_api:os-hosts:list"
SHOW = "os_compute_api:os-hosts:show"
UPDATE = "os_compute_api:os-hosts:update"
REBOOT = "os_compute_api:os-hosts:reboot"
SHUTDOWN = "os_compute_api:os-hosts:shutdown"
START = "os_compute_api:os-hosts:start"

RULES = (
    rule(LIST, ADMIN, "List hosts and what runs on them, up to 2.42."),
    rule(SHOW, ADMIN, "Show what a host has and what is used of it, up to 2.42."),
    rule(UPDATE, ADMIN, "Enable or disable a host, up to 2.42."),
    rule(REBOOT, ADMIN, "Reboot a host, up to 2.42: no host can."),
    rule(SHUTDOWN, ADMIN, "Shut a host down, up to 2.42: no host can."),
    rule(START, ADMIN, "Start a host, up to 2.42: no host can."),
)
