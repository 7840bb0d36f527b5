"""What /allocation_candidates takes; what is inside the strings is read in ``services/requests.py``."""

from typing import Any

from nova_lite.placement.schemas.names import TEXT, UUID
from nova_lite.web.validation import Schemas, query_schema

_LIMIT = {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}
_POLICY = {"type": "string", "enum": ["none", "isolate"]}
_NUMBERED = "([1-9][0-9]*)?$"
_NAMED = "([a-zA-Z0-9_-]{1,64})?$"


def _grouped(suffix: str, *, in_tree: bool = False, single_required: bool = True) -> dict[str, Any]:
    """Return the schema of the versions with request groups, each parameter with any suffix of its kind."""
    single: dict[str, Any] = {"limit": _LIMIT, "group_policy": _POLICY}
    patterns = {f"^{name}{suffix}": TEXT for name in ("resources", "member_of", "required")}
    if in_tree:
        patterns[f"^in_tree{suffix}"] = UUID
    schema = query_schema(single, None, patterns)
    once = ["resources", "in_tree"] + (["required"] if single_required else [])
    for name in once:
        if f"^{name}{suffix}" in schema["patternProperties"]:
            schema["patternProperties"][f"^{name}{suffix}"]["maxItems"] = 1
    return schema


def _with(schema: dict[str, Any], single: dict[str, Any], repeated: dict[str, Any]) -> dict[str, Any]:
    properties = query_schema(single, repeated)["properties"]
    return schema | {"properties": schema["properties"] | properties}


_V1_10 = {"resources": TEXT}
_V1_16 = _V1_10 | {"limit": _LIMIT}
_V1_17 = _V1_16 | {"required": TEXT}
_V1_21 = _V1_17 | {"member_of": TEXT}
_ROOT = {"root_required": TEXT}

LIST = Schemas(
    ("1.10", query_schema(_V1_10) | {"required": ["resources"]}),
    ("1.16", query_schema(_V1_16) | {"required": ["resources"]}),
    ("1.17", query_schema(_V1_17) | {"required": ["resources"]}),
    ("1.21", query_schema(_V1_21) | {"required": ["resources"]}),
    ("1.24", query_schema(_V1_17, {"member_of": TEXT}) | {"required": ["resources"]}),
    ("1.25", _grouped(_NUMBERED)),
    ("1.31", _grouped(_NUMBERED, in_tree=True)),
    ("1.33", _grouped(_NAMED, in_tree=True)),
    ("1.35", _with(_grouped(_NAMED, in_tree=True), _ROOT, {})),
    ("1.36", _with(_grouped(_NAMED, in_tree=True), _ROOT, {"same_subtree": TEXT})),
    ("1.39", _with(_grouped(_NAMED, in_tree=True, single_required=False), _ROOT, {"same_subtree": TEXT})),
)
