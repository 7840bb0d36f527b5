"""Schemas of the volumes of servers."""

from typing import Any

from nova_lite.api.schemas.servers import TAG
from nova_lite.api.schemas.values import BOOLEAN, LIMIT
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_UUID = {"type": "string", "format": "uuid"}
_DEVICE = {"type": ["string", "null"], "maxLength": 255, "pattern": "^/dev/[a-z]+[0-9]*$"}


def _body(**properties: JsonSchema) -> dict[str, Any]:
    """Return the schema of a body that names a volume and may have ``properties``."""
    attachment = {
        "type": "object",
        "properties": {"volumeId": _UUID, **properties},
        "required": ["volumeId"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"volumeAttachment": attachment},
        "required": ["volumeAttachment"],
        "additionalProperties": False,
    }


CREATE = Schemas(
    ("2.1", _body(device=_DEVICE)),
    ("2.49", _body(device=_DEVICE, tag=TAG)),
    ("2.79", _body(device=_DEVICE, tag=TAG, delete_on_termination=BOOLEAN)),
)
UPDATE = Schemas(
    ("2.1", _body()),
    ("2.85", _body(device=_DEVICE, tag=TAG, delete_on_termination=BOOLEAN, serverId=_UUID, id=_UUID)),
)
_PAGE: dict[str, Any] = {"limit": LIMIT, "offset": LIMIT}
LIST_QUERY = Schemas(
    ("2.1", query_schema(repeated=_PAGE, strict=False)),
    ("2.75", query_schema(repeated=_PAGE)),
)
