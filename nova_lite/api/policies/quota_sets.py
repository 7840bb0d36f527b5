"""Rules of quota sets."""

from nova_lite.api.policies.base import PROJECT_READER_OR_ADMIN, rule

SHOW = "os_compute_api:os-quota-sets:show"
DEFAULTS = "os_compute_api:os-quota-sets:defaults"
DETAIL = "os_compute_api:os-quota-sets:detail"

RULES = (
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show a project's quotas."),
    rule(DEFAULTS, PROJECT_READER_OR_ADMIN, "Show the quotas of a project that was given none."),
    rule(DETAIL, PROJECT_READER_OR_ADMIN, "Show a project's quotas with what is used of them."),
)
