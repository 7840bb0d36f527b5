"""Bodies of ``/servers/{id}/migrations/{id}/action``."""

from nova_lite.web.validation import Schemas

FORCE_COMPLETE = Schemas(
    (
        "2.22",
        {
            "type": "object",
            "properties": {"force_complete": {"type": "null"}},
            "required": ["force_complete"],
            "additionalProperties": False,
        },
    )
)
