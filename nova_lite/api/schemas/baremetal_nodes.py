"""Bodies about bare metal nodes: whatever one holds, it is refused."""

from nova_lite.web.validation import Schemas

NODE = Schemas(("2.1", {"type": "object"}))
ACTION = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {"add_interface": {}, "remove_interface": {}},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    )
)
