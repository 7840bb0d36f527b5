"""Bodies that ask for consoles; kinds that nobody has any more are asked for like others."""

from nova_lite.web.validation import JsonSchema, Schemas

_TYPES = ["novnc", "xvpvnc", "spice-html5", "serial", "rdp-html5"]
_PROTOCOLS = ["vnc", "spice", "serial", "rdp"]


def _asked(protocols: list[str], types: list[str]) -> JsonSchema:
    return {
        "type": "object",
        "properties": {
            "remote_console": {
                "type": "object",
                "properties": {"protocol": {"enum": protocols}, "type": {"enum": types}},
                "required": ["protocol", "type"],
                "additionalProperties": False,
            }
        },
        "required": ["remote_console"],
        "additionalProperties": False,
    }


CREATE = Schemas(
    ("2.6", _asked(_PROTOCOLS, _TYPES)),
    ("2.8", _asked([*_PROTOCOLS, "mks"], [*_TYPES, "webmks"])),
    ("2.99", _asked([*_PROTOCOLS, "mks"], [*_TYPES, "webmks", "spice-direct"])),
)


def kind(*kinds: str) -> JsonSchema:
    """Return what stands under the name of an action that opens a console of one of ``kinds``."""
    return {
        "type": "object",
        "properties": {"type": {"enum": list(kinds)}},
        "required": ["type"],
        "additionalProperties": False,
    }
