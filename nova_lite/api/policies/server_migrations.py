"""Rules of one server's live migrations."""

from nova_lite.api.policies.base import ADMIN, PROJECT_MANAGER_OR_ADMIN, rule

INDEX = "os_compute_api:servers:migrations:index"
HOSTS = "os_compute_api:servers:migrations:index:host"
SHOW = "os_compute_api:servers:migrations:show"
FORCE_COMPLETE = "os_compute_api:servers:migrations:force_complete"
DELETE = "os_compute_api:servers:migrations:delete"

RULES = (
    rule(INDEX, PROJECT_MANAGER_OR_ADMIN, "List a server's live migrations that are under way."),
    rule(HOSTS, ADMIN, "See between which hosts a listed server moves."),
    rule(SHOW, ADMIN, "Show one of a server's live migrations that are under way."),
    rule(FORCE_COMPLETE, PROJECT_MANAGER_OR_ADMIN, "Have a server's live migration end soon."),
    rule(DELETE, PROJECT_MANAGER_OR_ADMIN, "Abort a server's live migration."),
)
