"""What /resource_providers takes."""

from nova_lite.placement.schemas.names import ANY_UUID, NAME, TEXT, UUID, closed
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_PARENT = {"anyOf": [ANY_UUID, {"type": "null"}]}

CREATE = Schemas(
    ("1.0", closed({"name": NAME, "uuid": ANY_UUID}, ("name",))),
    ("1.14", closed({"name": NAME, "uuid": ANY_UUID, "parent_provider_uuid": _PARENT}, ("name",))),
)
UPDATE = Schemas(
    ("1.0", closed({"name": NAME}, ("name",))),
    ("1.14", closed({"name": NAME, "parent_provider_uuid": _PARENT}, ("name",))),
)


def _filters(parameters: dict[str, JsonSchema], *, one_member_of: bool = True) -> JsonSchema:
    """Return the schema of a query whose parameters may come again: the last counts, where not all do."""
    single = {"member_of": TEXT} if one_member_of and "member_of" in parameters else {}
    return query_schema(single, {name: schema for name, schema in parameters.items() if name not in single})


_V1_0: dict[str, JsonSchema] = {"name": TEXT, "uuid": UUID}
_V1_3 = _V1_0 | {"member_of": TEXT}
_V1_4 = _V1_3 | {"resources": TEXT}
_V1_14 = _V1_4 | {"in_tree": UUID}
_V1_18 = _V1_14 | {"required": TEXT}
LIST = Schemas(
    ("1.0", _filters(_V1_0)),
    ("1.3", _filters(_V1_3)),
    ("1.4", _filters(_V1_4)),
    ("1.14", _filters(_V1_14)),
    ("1.18", _filters(_V1_18)),
    ("1.24", _filters(_V1_18, one_member_of=False)),
)
