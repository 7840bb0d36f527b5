"""Default policy of the Placement API: administrators and services do almost everything, usages are for readers too.

Names and defaults are those operators know, so that a policy file written for another Placement keeps its meaning.
"""

from collections.abc import Mapping

from oslo_policy.policy import Operation

from nova_lite.web.policy import DocumentedRuleDefault, RuleDefault

#: A token of a project; one of the whole system or of a domain is refused.
_SCOPES = ["project"]

ADMIN_OR_SERVICE = "rule:admin_or_service_api"
SERVICE = "rule:service_api"
READERS_TOO = "rule:admin_or_project_reader_or_service_api"

#: Building blocks of the rules, which a policy file may change as well.
BLOCKS = (
    RuleDefault(
        "admin_or_service_api",
        "role:admin or role:service",
        "Default rule of almost everything.",
        scope_types=_SCOPES,
    ),
    RuleDefault(
        "admin_or_project_reader_or_service_api",
        "role:admin or rule:project_reader_api or role:service",
        "Default rule of what a project may read of itself.",
        scope_types=_SCOPES,
    ),
)

_PROVIDER = "/resource_providers/{uuid}"
#: Rule, without its prefix → the operations it guards.
_OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "resource_providers:list": ("GET /resource_providers",),
    "resource_providers:create": ("POST /resource_providers",),
    "resource_providers:show": (f"GET {_PROVIDER}",),
    "resource_providers:update": (f"PUT {_PROVIDER}",),
    "resource_providers:delete": (f"DELETE {_PROVIDER}",),
    "resource_classes:list": ("GET /resource_classes",),
    "resource_classes:create": ("POST /resource_classes",),
    "resource_classes:show": ("GET /resource_classes/{name}",),
    "resource_classes:update": ("PUT /resource_classes/{name}",),
    "resource_classes:delete": ("DELETE /resource_classes/{name}",),
    "resource_providers:inventories:list": (f"GET {_PROVIDER}/inventories",),
    "resource_providers:inventories:create": (f"POST {_PROVIDER}/inventories",),
    "resource_providers:inventories:show": (f"GET {_PROVIDER}/inventories/{{resource_class}}",),
    "resource_providers:inventories:update": (
        f"PUT {_PROVIDER}/inventories",
        f"PUT {_PROVIDER}/inventories/{{resource_class}}",
    ),
    "resource_providers:inventories:delete": (
        f"DELETE {_PROVIDER}/inventories",
        f"DELETE {_PROVIDER}/inventories/{{resource_class}}",
    ),
    "resource_providers:aggregates:list": (f"GET {_PROVIDER}/aggregates",),
    "resource_providers:aggregates:update": (f"PUT {_PROVIDER}/aggregates",),
    "resource_providers:usages": (f"GET {_PROVIDER}/usages",),
    "resource_providers:allocations:list": (f"GET {_PROVIDER}/allocations",),
    "resource_providers:traits:list": (f"GET {_PROVIDER}/traits",),
    "resource_providers:traits:update": (f"PUT {_PROVIDER}/traits",),
    "resource_providers:traits:delete": (f"DELETE {_PROVIDER}/traits",),
    "traits:list": ("GET /traits",),
    "traits:show": ("GET /traits/{name}",),
    "traits:update": ("PUT /traits/{name}",),
    "traits:delete": ("DELETE /traits/{name}",),
    "allocations:list": ("GET /allocations/{uuid}",),
    "allocations:manage": ("POST /allocations",),
    "allocations:update": ("PUT /allocations/{uuid}",),
    "allocations:delete": ("DELETE /allocations/{uuid}",),
    "allocation_candidates:list": ("GET /allocation_candidates",),
    "usages": ("GET /usages",),
    "reshaper:reshape": ("POST /reshaper",),
    "metrics:show": ("GET /metrics",),
}
#: The rules whose default is not ``ADMIN_OR_SERVICE``.
_OTHER_DEFAULTS = {"usages": READERS_TOO, "reshaper:reshape": SERVICE}


def _description(rule: str) -> str:
    noun, _, verb = rule.rpartition(":")
    return f"{verb.capitalize()} {noun.replace(':', ', ').replace('_', ' ')}".strip() + "."


def _operation(text: str) -> Operation:
    method, path = text.split()
    return {"method": method, "path": path}


RULES: tuple[RuleDefault, ...] = tuple(
    DocumentedRuleDefault(
        name=f"placement:{rule}",
        check_str=_OTHER_DEFAULTS.get(rule, ADMIN_OR_SERVICE),
        description=_description(rule),
        operations=[_operation(text) for text in operations],
        scope_types=_SCOPES,
    )
    for rule, operations in _OPERATIONS.items()
)
