"""Rules of bare metal nodes, as old clients ask this API for them."""

from nova_lite.api.policies.base import ADMIN, rule

LIST = "os_compute_api:os-baremetal-nodes:list"
SHOW = "os_compute_api:os-baremetal-nodes:show"

RULES = (
    rule(LIST, ADMIN, "List bare metal nodes or make one, up to 2.35: there is no service of them."),
    rule(SHOW, ADMIN, "Show, change or delete a bare metal node, up to 2.35: there is no service of them."),
)
