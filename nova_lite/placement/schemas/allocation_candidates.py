"""What /allocation_candidates takes; ``services/requests.py`` reads what is inside the strings, and what may repeat."""

from typing import Any

from nova_lite.placement.schemas.names import TEXT, UUID
from nova_lite.web.validation import Schemas, query_schema

_LIMIT: dict[str, Any] = {"limit": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}}
_POLICY: dict[str, Any] = {"group_policy": {"type": "string", "enum": ["none", "isolate"]}}
_NUMBERED = "([1-9][0-9]*)?$"
_NAMED = "([a-zA-Z0-9_-]{1,64})?$"


def _query(*parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the versions before request groups."""
    known = {name: schema for some in parameters for name, schema in some.items()}
    return query_schema(None, known) | {"required": ["resources"]}


def _grouped(suffix: str, *parameters: dict[str, Any], in_tree: bool = True) -> dict[str, Any]:
    """Return the schema of the versions with request groups, each parameter with any suffix of its kind."""
    known = {name: schema for some in (_LIMIT, _POLICY, *parameters) for name, schema in some.items()}
    patterns = {f"^{name}{suffix}": TEXT for name in ("resources", "member_of", "required")}
    if in_tree:
        patterns[f"^in_tree{suffix}"] = UUID
    return query_schema(None, known, patterns)


_RESOURCES = {"resources": TEXT}
_REQUIRED = {"required": TEXT}
_MEMBER_OF = {"member_of": TEXT}
_ROOT = {"root_required": TEXT}
_SUBTREE = {"same_subtree": TEXT}

LIST = Schemas(
    ("1.10", _query(_RESOURCES)),
    ("1.16", _query(_RESOURCES, _LIMIT)),
    ("1.17", _query(_RESOURCES, _LIMIT, _REQUIRED)),
    ("1.21", _query(_RESOURCES, _LIMIT, _REQUIRED, _MEMBER_OF)),
    ("1.25", _grouped(_NUMBERED, in_tree=False)),
    ("1.31", _grouped(_NUMBERED)),
    ("1.33", _grouped(_NAMED)),
    ("1.35", _grouped(_NAMED, _ROOT)),
    ("1.36", _grouped(_NAMED, _ROOT, _SUBTREE)),
)
