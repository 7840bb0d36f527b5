"""Schemas of snapshots that compute helps the block storage service with."""

from nova_lite.web.validation import Schemas, query_schema

_NAME = {"type": "string", "minLength": 1}
_CREATE_INFO = {
    "type": "object",
    "properties": {"snapshot_id": _NAME, "type": {"enum": ["qcow2"]}, "new_file": _NAME, "id": _NAME},
    "required": ["snapshot_id", "type", "new_file"],
    "additionalProperties": False,
}
_SNAPSHOT = {
    "type": "object",
    "properties": {"volume_id": _NAME, "create_info": _CREATE_INFO},
    "required": ["volume_id", "create_info"],
    "additionalProperties": False,
}
CREATE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {"snapshot": _SNAPSHOT},
            "required": ["snapshot"],
            "additionalProperties": False,
        },
    ),
)
_INFO = {"delete_info": {"type": "string"}}
DELETE_QUERY = Schemas(("2.1", query_schema(repeated=_INFO, strict=False)), ("2.75", query_schema(repeated=_INFO)))
