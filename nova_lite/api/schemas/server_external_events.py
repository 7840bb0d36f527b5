"""Schemas of what other services tell of servers."""

from typing import Any

from nova_lite.web.validation import Schemas

_FIRST = ("network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted")


def _events(*names: str) -> dict[str, Any]:
    event = {
        "type": "object",
        "properties": {
            "name": {"enum": [*_FIRST, *names]},
            "server_uuid": {"type": "string", "format": "uuid"},
            "status": {"enum": ["failed", "completed", "in-progress"]},
            "tag": {"type": "string", "maxLength": 255},
        },
        "required": ["name", "server_uuid"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"events": {"type": "array", "minItems": 1, "maxItems": 1000, "items": event}},
        "required": ["events"],
        "additionalProperties": False,
    }


_EXTENDED, _POWER, _BOUND, _REIMAGED = (
    "volume-extended",
    "power-update",
    "accelerator-request-bound",
    "volume-reimaged",
)
CREATE = Schemas(
    ("2.1", _events()),
    ("2.51", _events(_EXTENDED)),
    ("2.76", _events(_EXTENDED, _POWER)),
    ("2.82", _events(_EXTENDED, _POWER, _BOUND)),
    ("2.93", _events(_EXTENDED, _POWER, _BOUND, _REIMAGED)),
)
