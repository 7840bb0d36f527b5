"""Bodies of ``/servers/{id}/action``: one object whose one key names the action."""

from nova_lite.api.schemas import remote_consoles
from nova_lite.api.schemas.servers import (
    CERTIFICATES,
    DISK_CONFIG,
    HOST_LABEL,
    IP_V4,
    IP_V6,
    METADATA,
    PERSONALITY,
    SERVER_DESCRIPTION,
)
from nova_lite.api.schemas.values import BOOLEAN, HOST_NAME, NAME, whole_number
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
CHANGE_PASSWORD = _action(
    "changePassword",
    {
        "type": "object",
        "properties": {"adminPass": {"type": "string"}},
        "required": ["adminPass"],
        "additionalProperties": False,
    },
)
TRIGGER_CRASH_DUMP = _action("trigger_crash_dump", {"type": "null"})
_REBUILD: JsonSchema = {
    "type": "object",
    "properties": {
        "imageRef": {"type": "string", "format": "uuid"},
        "name": NAME,
        "adminPass": _PASSWORD,
        "metadata": METADATA,
        "preserve_ephemeral": BOOLEAN,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": IP_V4,
        "accessIPv6": IP_V6,
        "personality": PERSONALITY,
    },
    "required": ["imageRef"],
    "additionalProperties": False,
}


def _more(schema: JsonSchema, **properties: JsonSchema | None) -> JsonSchema:
    """Return a copy of ``schema`` with further properties, or without those set to None."""
    known = {**schema["properties"], **properties}
    return {**schema, "properties": {name: value for name, value in known.items() if value is not None}}


_EVACUATE: JsonSchema = {
    "type": "object",
    "properties": {"host": HOST_NAME, "onSharedStorage": BOOLEAN, "adminPass": _PASSWORD},
    "additionalProperties": False,
}
_EVACUATE_214 = _more(_EVACUATE, onSharedStorage=None)
EVACUATE = _action(
    "evacuate",
    {**_EVACUATE, "required": ["onSharedStorage"]},
    ("2.14", _EVACUATE_214),
    ("2.29", _more(_EVACUATE_214, force=BOOLEAN)),
    ("2.68", _EVACUATE_214),
)
_REBUILD_219 = _more(_REBUILD, description=SERVER_DESCRIPTION)
_REBUILD_254 = _more(_REBUILD_219, key_name={**NAME, "type": ["string", "null"]})
_REBUILD_257 = _more(_REBUILD_254, personality=None, user_data={"type": ["string", "null"], "maxLength": 65535})
_REBUILD_263 = _more(_REBUILD_257, trusted_image_certificates=CERTIFICATES)
_REBUILD_290 = _more(_REBUILD_263, hostname=HOST_LABEL)
REBUILD = _action(
    "rebuild",
    _REBUILD,
    ("2.19", _REBUILD_219),
    ("2.54", _REBUILD_254),
    ("2.57", _REBUILD_257),
    ("2.63", _REBUILD_263),
    ("2.90", _REBUILD_290),
    ("2.94", _more(_REBUILD_290, hostname=HOST_NAME)),
)
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
SHELVE = _action("shelve", {})
SHELVE_OFFLOAD = _action("shelveOffload", {})
UNSHELVE = _action(
    "unshelve",
    {},
    (
        "2.77",
        {
            "type": ["object", "null"],
            "properties": {"availability_zone": NAME},
            "required": ["availability_zone"],
            "additionalProperties": False,
        },
    ),
    (
        "2.91",
        {
            "type": ["object", "null"],
            "properties": {"availability_zone": {"type": ["string", "null"]}, "host": {"type": "string"}},
            "additionalProperties": False,
        },
    ),
)
_LENGTH = {**whole_number(-1), "type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}
CONSOLE_OUTPUT = _action(
    "os-getConsoleOutput",
    {"type": "object", "properties": {"length": _LENGTH}, "additionalProperties": False},
)
VNC_CONSOLE = _action("os-getVNCConsole", remote_consoles.kind("novnc", "xvpvnc"))
SPICE_CONSOLE = _action("os-getSPICEConsole", remote_consoles.kind("spice-html5"))
SERIAL_CONSOLE = _action("os-getSerialConsole", remote_consoles.kind("serial"))
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
_ADDRESS = {"type": "object", "properties": {"address": {"type": "string"}}, "required": ["address"]}
ADD_FIXED_IP = _action(
    "addFixedIp",
    {"type": "object", "properties": {"networkId": {"type": ["integer", "string"]}}, "required": ["networkId"]},
)
REMOVE_FIXED_IP = _action("removeFixedIp", _ADDRESS)
ADD_FLOATING_IP = _action("addFloatingIp", _ADDRESS)
REMOVE_FLOATING_IP = _action("removeFloatingIp", _ADDRESS)
_GROUP = {"type": "object", "properties": {"name": NAME}, "required": ["name"]}
ADD_SECURITY_GROUP = _action("addSecurityGroup", _GROUP)
REMOVE_SECURITY_GROUP = _action("removeSecurityGroup", _GROUP)
