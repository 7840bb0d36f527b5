"""Bodies of ``/servers/{id}/action``: one object whose one key names the action."""

from nova_lite.api.schemas.servers import METADATA
from nova_lite.api.schemas.values import HOST_NAME, NAME, whole_number
from nova_lite.web.validation import JsonSchema, Schemas


def _action(name: str, value: JsonSchema, *later: tuple[str, JsonSchema]) -> Schemas:
    """Return the schemas of an action whose value is ``value``, since the versions of ``later`` something else."""
    return Schemas(*((since, _body(name, each)) for since, each in (("2.1", value), *later)))


def _body(name: str, value: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}


#: What any action looks like, before it is known which.
ANY = Schemas(("2.1", {"type": "object", "minProperties": 1, "maxProperties": 1}))
START = _action("os-start", {})
STOP = _action("os-stop", {})
PAUSE = _action("pause", {})
UNPAUSE = _action("unpause", {})
SUSPEND = _action("suspend", {})
RESUME = _action("resume", {})
RESTORE = _action("restore", {})
FORCE_DELETE = _action("forceDelete", {})
_PASSWORD = {"type": "string", "maxLength": 255}
RESCUE = _action(
    "rescue",
    {
        "type": ["object", "null"],
        "properties": {"adminPass": _PASSWORD, "rescue_image_ref": {"type": "string", "format": "uuid"}},
        "additionalProperties": False,
    },
)
UNRESCUE = _action("unrescue", {})
_LOCKING = {
    "type": ["object", "null"],
    "properties": {"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}},
    "additionalProperties": False,
}
LOCK = _action("lock", {}, ("2.73", _LOCKING))
UNLOCK = _action("unlock", {})
RESET_STATE = _action(
    "os-resetState",
    {
        "type": "object",
        "properties": {"state": {"type": "string", "enum": ["active", "error"]}},
        "required": ["state"],
        "additionalProperties": False,
    },
)
INJECT_NETWORK_INFO = _action("injectNetworkInfo", {})
REBOOT = _action(
    "reboot",
    {
        "type": "object",
        "properties": {"type": {"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}},
        "required": ["type"],
        "additionalProperties": False,
    },
)
CREATE_IMAGE = _action(
    "createImage",
    {
        "type": "object",
        "properties": {"name": NAME, "metadata": METADATA},
        "required": ["name"],
        "additionalProperties": False,
    },
)
CREATE_BACKUP = _action(
    "createBackup",
    {
        "type": "object",
        "properties": {
            "name": NAME,
            "backup_type": {"type": "string", "maxLength": 255},
            "rotation": whole_number(0),
            "metadata": METADATA,
        },
        "required": ["name", "backup_type", "rotation"],
        "additionalProperties": False,
    },
)
_LENGTH = {**whole_number(-1), "type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}
CONSOLE_OUTPUT = _action(
    "os-getConsoleOutput",
    {"type": "object", "properties": {"length": _LENGTH}, "additionalProperties": False},
)
RESIZE = _action(
    "resize",
    {
        "type": "object",
        "properties": {
            "flavorRef": {"type": ["string", "integer"], "minLength": 1},
            "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]},
        },
        "required": ["flavorRef"],
        "additionalProperties": False,
    },
)
CONFIRM_RESIZE = _action("confirmResize", {})
REVERT_RESIZE = _action("revertResize", {})
MIGRATE = _action(
    "migrate",
    {},
    (
        "2.56",
        {
            "type": ["object", "null"],
            "properties": {"host": {**HOST_NAME, "type": ["string", "null"]}},
            "additionalProperties": False,
        },
    ),
)
_LIVE_HOST = {**HOST_NAME, "type": ["string", "null"]}


def _live(*, required: tuple[str, ...], **properties: JsonSchema) -> JsonSchema:
    return {
        "type": "object",
        "properties": {"host": _LIVE_HOST, **properties},
        "required": ["host", *required],
        "additionalProperties": False,
    }


_BLOCK = {"enum": [*BOOLEAN["enum"], "auto"]}
MIGRATE_LIVE = _action(
    "os-migrateLive",
    _live(required=("block_migration", "disk_over_commit"), block_migration=BOOLEAN, disk_over_commit=BOOLEAN),
    ("2.25", _live(required=("block_migration",), block_migration=_BLOCK)),
    ("2.30", _live(required=("block_migration",), block_migration=_BLOCK, force=BOOLEAN)),
    ("2.68", _live(required=("block_migration",), block_migration=_BLOCK)),
)
