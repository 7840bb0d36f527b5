"""Rules of quota sets."""

from nova_lite.api.policies.base import ADMIN, ANYONE, PROJECT_READER_OR_ADMIN, rule

SHOW = "os_compute_api:os-quota-sets:show"
DEFAULTS = "os_compute_api:os-quota-sets:defaults"
DETAIL = "os_compute_api:os-quota-sets:detail"
UPDATE = "os_compute_api:os-quota-sets:update"
DELETE = "os_compute_api:os-quota-sets:delete"

RULES = (
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show a project's quotas."),
    rule(DEFAULTS, ANYONE, "Show the quotas of a project that was given none."),
    rule(DETAIL, PROJECT_READER_OR_ADMIN, "Show a project's quotas with what is used of them."),
    rule(UPDATE, ADMIN, "Set the quotas of a project or of a user in it."),
    rule(DELETE, ADMIN, "Return a project, or a user in it, to the default quotas."),
)
