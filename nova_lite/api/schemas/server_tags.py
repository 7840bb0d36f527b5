"""Bodies of servers' tags, and the tag in a URL."""

from nova_lite.api.schemas.servers import MAX_TAGS, TAG
from nova_lite.web.validation import Schemas

ALL = Schemas(
    (
        "2.26",
        {
            "type": "object",
            "properties": {"tags": {"type": "array", "items": TAG, "maxItems": MAX_TAGS}},
            "required": ["tags"],
            "additionalProperties": False,
        },
    )
)
ONE = Schemas(("2.26", TAG))
