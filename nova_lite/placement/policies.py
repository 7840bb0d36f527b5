"""Default policy of the Placement API: administrators and services may do everything, usages are for readers too."""

from oslo_policy import policy as oslo_policy

_ADMIN_OR_SERVICE = "rule:context_is_admin or role:service"

_ACTIONS = {
    "resource_providers": ("list", "create", "show", "update", "delete"),
    "resource_classes": ("list", "create", "show", "update", "delete"),
    "resource_providers:inventories": ("list", "create", "show", "update", "delete"),
    "resource_providers:aggregates": ("list", "update"),
    "resource_providers:usages": ("list",),
    "resource_providers:allocations": ("list",),
    "resource_providers:traits": ("list", "update", "delete"),
    "traits": ("list", "show", "update", "delete"),
    "allocations": ("list", "manage", "update", "delete"),
    "allocation_candidates": ("list",),
    "reshaper": ("reshape",),
}

RULES = (
    *(
        oslo_policy.RuleDefault(f"placement:{noun}:{verb}", _ADMIN_OR_SERVICE, f"{verb} on {noun}")
        for noun, verbs in _ACTIONS.items()
        for verb in verbs
    ),
    oslo_policy.RuleDefault(
        "placement:usages",
        f"rule:project_reader_api or {_ADMIN_OR_SERVICE}",
        "Total usages of a project or user.",
    ),
)
