"""Rules of flavors, their extra specs, and who may use private ones."""

from nova_lite.api.policies.base import ADMIN, ANYONE, PROJECT_READER_OR_ADMIN, rule

INDEX = "os_compute_api:flavors:index"
SHOW = "os_compute_api:flavors:show"
CREATE = "os_compute_api:os-flavor-manage:create"
UPDATE = "os_compute_api:os-flavor-manage:update"
DELETE = "os_compute_api:os-flavor-manage:delete"
EXTRA_SPECS_INDEX = "os_compute_api:os-flavor-extra-specs:index"
EXTRA_SPECS_SHOW = "os_compute_api:os-flavor-extra-specs:show"
EXTRA_SPECS_CREATE = "os_compute_api:os-flavor-extra-specs:create"
EXTRA_SPECS_UPDATE = "os_compute_api:os-flavor-extra-specs:update"
EXTRA_SPECS_DELETE = "os_compute_api:os-flavor-extra-specs:delete"
ACCESS_INDEX = "os_compute_api:os-flavor-access"
ACCESS_ADD = "os_compute_api:os-flavor-access:add_tenant_access"
ACCESS_REMOVE = "os_compute_api:os-flavor-access:remove_tenant_access"

RULES = (
    rule(INDEX, ANYONE, "List the flavors the caller may use.", scopes=()),
    rule(SHOW, ANYONE, "Show a flavor the caller may use.", scopes=()),
    rule(CREATE, ADMIN, "Create a flavor."),
    rule(UPDATE, ADMIN, "Describe a flavor anew."),
    rule(DELETE, ADMIN, "Delete a flavor."),
    rule(EXTRA_SPECS_INDEX, PROJECT_READER_OR_ADMIN, "List a flavor's extra specs, also where the flavor is shown."),
    rule(EXTRA_SPECS_SHOW, PROJECT_READER_OR_ADMIN, "Show one extra spec of a flavor."),
    rule(EXTRA_SPECS_CREATE, ADMIN, "Add extra specs to a flavor."),
    rule(EXTRA_SPECS_UPDATE, ADMIN, "Set one extra spec of a flavor."),
    rule(EXTRA_SPECS_DELETE, ADMIN, "Delete one extra spec of a flavor."),
    rule(ACCESS_INDEX, ADMIN, "List the projects that may use a private flavor."),
    rule(ACCESS_ADD, ADMIN, "Let a project use a private flavor."),
    rule(ACCESS_REMOVE, ADMIN, "Stop a project from using a private flavor."),
)
