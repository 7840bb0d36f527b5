"""Schemas of host aggregates."""

from nova_lite.api.schemas.values import HOST_NAME, NAME
from nova_lite.web.validation import JsonSchema, Schemas

#: A zone's name has no colon: what comes behind one, where servers are created, is a host.
_ZONE = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^(?!\s)[^:\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]+(?<!\s)$",
}
_METADATA = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9_:. -]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}


def _object(name: str, properties: JsonSchema, required: list[str] | None = None, least: int = 0) -> JsonSchema:
    """Return the schema of an object whose one key ``name`` holds an object of ``properties``."""
    inner: dict[str, object] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        inner["required"] = required
    if least:
        inner["minProperties"] = least
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


_AGGREGATE = {"name": NAME, "availability_zone": _ZONE}
CREATE = Schemas(("2.1", _object("aggregate", _AGGREGATE, ["name"])))
UPDATE = Schemas(("2.1", _object("aggregate", _AGGREGATE, least=1)))
CACHE_IMAGES = Schemas(
    (
        "2.81",
        {
            "type": "object",
            "properties": {
                "cache": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {"id": {"type": "string", "format": "uuid"}},
                        "required": ["id"],
                        "additionalProperties": False,
                    },
                }
            },
            "required": ["cache"],
            "additionalProperties": False,
        },
    )
)

#: What any action looks like, before it is known which.
ANY_ACTION = Schemas(("2.1", {"type": "object", "minProperties": 1, "maxProperties": 1}))
ADD_HOST = Schemas(("2.1", _object("add_host", {"host": HOST_NAME}, ["host"])))
REMOVE_HOST = Schemas(("2.1", _object("remove_host", {"host": HOST_NAME}, ["host"])))
SET_METADATA = Schemas(("2.1", _object("set_metadata", {"metadata": _METADATA}, ["metadata"])))
