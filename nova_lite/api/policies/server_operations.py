"""Rules of the operations on a server."""

from nova_lite.api.policies.base import ADMIN, PROJECT_READER_OR_ADMIN, rule

INDEX = "os_compute_api:servers:operations:list"
SHOW = "os_compute_api:servers:operations:show"
SHOW_HOSTS = "os_compute_api:servers:operations:hosts"

RULES = (
    rule(INDEX, PROJECT_READER_OR_ADMIN, "List the operations on a server."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show one operation on a server, step by step."),
    rule(SHOW_HOSTS, ADMIN, "See which host an operation on a server concerns."),
)
