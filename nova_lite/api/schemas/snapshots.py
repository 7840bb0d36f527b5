"""The body of new snapshots of volumes."""

from nova_lite.api.schemas.values import BOOLEAN, TEXT
from nova_lite.web.validation import Schemas

CREATE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {
                "snapshot": {
                    "type": "object",
                    "properties": {
                        "volume_id": TEXT,
                        "force": BOOLEAN,
                        "display_name": TEXT,
                        "display_description": TEXT,
                    },
                    "required": ["volume_id"],
                    "additionalProperties": False,
                }
            },
            "required": ["snapshot"],
            "additionalProperties": False,
        },
    )
)
