"""Rules of one server's live migrations."""

from nova_lite.api.policies.base import ADMIN, PROJECT_MANAGER_OR_ADMIN, rule

INDEX = "os_compute_api:servers:migrations:index"
HOSTS = "os_compute_api:servers:migrations:index:host"
SHOW = "os_compute_api:servers:migrations:show"

RULES = (
    rule(INDEX, PROJECT_MANAGER_OR_ADMIN, "List a server's live migrations that are under way."),
    rule(HOSTS, ADMIN, "See between which hosts a listed server moves."),
    rule(SHOW, ADMIN, "Show one of a server's live migrations that are under way."),
)
