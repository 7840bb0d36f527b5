"""Schema pieces that several nouns share."""

from typing import Any

from nova_lite.placement.model import MAX_INT

UUID: dict[str, Any] = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
}
#: A UUID as people spell it, too: without dashes, in braces, as a URN.
ANY_UUID: dict[str, Any] = {
    "type": "string",
    "pattern": r"^(urn:uuid:)?\{?[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\}?$",
}
CLASS_PATTERN = "^[A-Z0-9_]{1,255}$"
CUSTOM: dict[str, Any] = {"type": "string", "pattern": "^CUSTOM_[A-Z0-9_]+$", "minLength": 8, "maxLength": 255}
TRAIT: dict[str, Any] = {"type": "string", "pattern": "^[A-Z0-9_]+$", "minLength": 1, "maxLength": 255}
#: No control characters, which some databases refuse and no screen shows.
NAME: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\u0000-\u001f\u007f]+$"}
OWNER: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\u0000-\u001f\u007f]+$"}
#: Of a provider. One that cannot be is a stale one, as long as the databases can compare it.
GENERATION: dict[str, Any] = {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1}
CONSUMER_GENERATION: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}
AMOUNT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_INT}
TEXT: dict[str, Any] = {"type": "string", "maxLength": 65536}


def closed(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object with these properties and no others."""
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return schema


def keyed(pattern: str, value: dict[str, Any], minimum: int = 0) -> dict[str, Any]:
    """Return the schema of an object whose keys match ``pattern``."""
    return {
        "type": "object",
        "patternProperties": {pattern: value},
        "additionalProperties": False,
        "minProperties": minimum,
    }
