"""Bodies of ``/servers/{id}/action``: one object whose one key names the action."""

from nova_lite.api.schemas.values import whole_number
from nova_lite.web.validation import JsonSchema, Schemas


def _action(name: str, value: JsonSchema) -> Schemas:
    schema = {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}
    return Schemas(("2.1", schema))


#: What any action looks like, before it is known which.
ANY = Schemas(("2.1", {"type": "object", "minProperties": 1, "maxProperties": 1}))
START = _action("os-start", {})
STOP = _action("os-stop", {})
PAUSE = _action("pause", {})
UNPAUSE = _action("unpause", {})
SUSPEND = _action("suspend", {})
RESUME = _action("resume", {})
REBOOT = _action(
    "reboot",
    {
        "type": "object",
        "properties": {"type": {"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}},
        "required": ["type"],
        "additionalProperties": False,
    },
)
_LENGTH = {**whole_number(-1), "type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}
CONSOLE_OUTPUT = _action(
    "os-getConsoleOutput",
    {"type": "object", "properties": {"length": _LENGTH}, "additionalProperties": False},
)
