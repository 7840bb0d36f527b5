"""Bodies and queries about shares of servers."""

from nova_lite.web.validation import Schemas

CREATE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {
                "share": {
                    "type": "object",
                    "properties": {
                        "share_id": {"type": "string", "format": "uuid"},
                        "tag": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-]*$"},
                    },
                    "required": ["share_id"],
                    "additionalProperties": False,
                }
            },
            "required": ["share"],
            "additionalProperties": False,
        },
    )
)
