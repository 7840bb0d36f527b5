"""Rules of quota classes."""

from nova_lite.api.policies.base import ADMIN, rule

SHOW = "os_compute_api:os-quota-class-sets:show"
UPDATE = "os_compute_api:os-quota-class-sets:update"

RULES = (
    rule(SHOW, ADMIN, "Show the limits of a quota class."),
    rule(UPDATE, ADMIN, "Set the limits of a quota class; those of ``default`` are the default of every project."),
)
