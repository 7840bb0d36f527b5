"""Rules of migrations."""

from nova_lite.api.policies.base import ADMIN, PROJECT_MANAGER_OR_ADMIN, rule

INDEX = "os_compute_api:os-migrations:index"
ALL_PROJECTS = "os_compute_api:os-migrations:index:all_projects"
HOSTS = "os_compute_api:os-migrations:index:host"

RULES = (
    rule(INDEX, PROJECT_MANAGER_OR_ADMIN, "List the migrations of servers of one's own project."),
    rule(ALL_PROJECTS, ADMIN, "List the migrations of servers of every project or of another."),
    rule(HOSTS, ADMIN, "See between which hosts listed servers moved."),
)
