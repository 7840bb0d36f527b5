"""Bodies and queries that ask for networks: their shape alone, for none can be fulfilled."""

from nova_lite.api.schemas.values import LIMIT
from nova_lite.web.validation import JsonSchema, Schemas, query_schema


def _one(noun: str) -> Schemas:
    properties: dict[str, JsonSchema] = {noun: {"type": "object"}}
    return Schemas(
        ("2.1", {"type": "object", "properties": properties, "required": [noun], "additionalProperties": False})
    )


SECURITY_GROUPS_QUERY = Schemas(("2.1", query_schema(repeated={"limit": LIMIT, "offset": LIMIT}, strict=False)))
SECURITY_GROUP = _one("security_group")
SECURITY_GROUP_RULE = _one("security_group_rule")
INTERFACE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {"interfaceAttachment": {"type": "object"}},
            "additionalProperties": False,
        },
    )
)
FLOATING_IP = Schemas(
    (
        "2.1",
        {
            "type": ["object", "null"],
            "properties": {"pool": {"type": ["string", "null"]}},
            "additionalProperties": False,
        },
    )
)
