"""The query of the list of hosts, and the body of a change."""

from nova_lite.api.schemas.values import TEXT
from nova_lite.web.validation import Schemas, query_schema

_SWITCH = {"enum": ["enable", "disable", "Enable", "Disable", "ENABLE", "DISABLE"]}

LIST_QUERY = Schemas(("2.1", query_schema(repeated={"zone": TEXT}, strict=False)))

UPDATE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {"status": _SWITCH, "maintenance_mode": _SWITCH},
            "anyOf": [{"required": ["status"]}, {"required": ["maintenance_mode"]}],
            "additionalProperties": False,
        },
    )
)


def is_enable(switch: str) -> bool:
    """Return which of the two a valid value says."""
    return switch.lower() == "enable"
