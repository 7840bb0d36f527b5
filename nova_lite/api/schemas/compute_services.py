"""Schemas of services."""

from nova_lite.api.schemas.values import BOOLEAN, HOST_NAME, TEXT
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_BINARY = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9_-]+$"}


def _by_host(**more: JsonSchema) -> JsonSchema:
    return {
        "type": "object",
        "properties": {"host": HOST_NAME, "binary": _BINARY, "disabled_reason": _REASON, **more},
        "required": ["host", "binary"],
        "additionalProperties": False,
    }


_BY_ID = {
    "type": "object",
    "properties": {"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": BOOLEAN},
    "additionalProperties": False,
}
_FILTERS = {"host": TEXT, "binary": TEXT}

UPDATE = Schemas(("2.1", _by_host()), ("2.11", _by_host(forced_down=BOOLEAN)), ("2.53", _BY_ID))
LIST_QUERY = Schemas(
    ("2.1", query_schema(repeated=_FILTERS, strict=False)),
    ("2.75", query_schema(repeated=_FILTERS)),
)
