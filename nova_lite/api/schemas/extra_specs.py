"""Schemas of flavors' extra specs. Which names and values are known is checked by ``services/extra_specs.py``."""

from nova_lite.web.validation import Schemas

_KEY = r"^[a-zA-Z0-9_:. -]{1,255}$"
_VALUE = {"type": ["string", "number"], "maxLength": 255}

CREATE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {
                "extra_specs": {"type": "object", "patternProperties": {_KEY: _VALUE}, "additionalProperties": False}
            },
            "required": ["extra_specs"],
            "additionalProperties": False,
        },
    )
)
UPDATE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "patternProperties": {_KEY: _VALUE},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    )
)
