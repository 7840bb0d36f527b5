"""Rules of how a server fares."""

from nova_lite.api.policies.base import ADMIN, rule

SHOW = "os_compute_api:os-server-diagnostics"

RULES = (rule(SHOW, ADMIN, "See how a running server fares: processors, memory, disks, network."),)
