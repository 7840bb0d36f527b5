"""Rules of server groups."""

from nova_lite.api.policies.base import ADMIN, PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

INDEX = "os_compute_api:os-server-groups:index"
INDEX_ALL = "os_compute_api:os-server-groups:index:all_projects"
SHOW = "os_compute_api:os-server-groups:show"
CREATE = "os_compute_api:os-server-groups:create"
DELETE = "os_compute_api:os-server-groups:delete"

RULES = (
    rule(INDEX, PROJECT_READER_OR_ADMIN, "List a project's server groups."),
    rule(INDEX_ALL, ADMIN, "List the server groups of all projects."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show a server group."),
    rule(CREATE, PROJECT_MEMBER_OR_ADMIN, "Create a server group."),
    rule(DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete a server group."),
)
