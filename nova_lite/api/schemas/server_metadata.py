"""Bodies of a server's metadata."""

from nova_lite.api.schemas.servers import METADATA
from nova_lite.web.validation import JsonSchema, Schemas


def _holding(name: str, value: JsonSchema) -> Schemas:
    schema = {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}
    return Schemas(("2.1", schema))


ALL = _holding("metadata", METADATA)
ITEM = _holding("meta", {**METADATA, "minProperties": 1, "maxProperties": 1})
