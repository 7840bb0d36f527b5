"""The bodies that clients of the embedded block storage API may send."""

from typing import Any

from nova_lite.web.validation import Schemas

JsonSchema = dict[str, Any]

_TEXT: JsonSchema = {"type": ["string", "null"], "maxLength": 255}
_SIZE: JsonSchema = {
    "oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]{1,9}$"}, {"type": "null"}]
}
_METADATA: JsonSchema = {
    "type": "object",
    "patternProperties": {"^.{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
_UUID: JsonSchema = {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"}
_UUID_OR_NULL: JsonSchema = {"oneOf": [_UUID, {"type": "null"}]}
#: What ``true`` may be written as, and ``false``.
TRUE = ("True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t")
_FALSE = ("False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f")
_BOOLEAN: JsonSchema = {"enum": [True, False, *TRUE, *_FALSE]}


def _body(key: str, properties: JsonSchema, *, required: tuple[str, ...] = (), more: bool = False) -> Schemas:
    inner: JsonSchema = {"type": "object", "properties": properties, "additionalProperties": more}
    if required:
        inner["required"] = list(required)
    return _only(key, inner)


def _only(key: str, inner: JsonSchema) -> Schemas:
    schema = {"type": "object", "properties": {key: inner}, "required": [key], "additionalProperties": False}
    return Schemas(("3.0", schema))


def is_true(value: object) -> bool:
    """Return whether a checked value means yes."""
    return value is True or value in TRUE


_NAMED: JsonSchema = {
    "name": _TEXT,
    "description": _TEXT,
    "display_name": _TEXT,
    "display_description": _TEXT,
    "metadata": {"oneOf": [_METADATA, {"type": "null"}]},
}
_NEW_VOLUME: JsonSchema = {
    **_NAMED,
    "size": _SIZE,
    "imageRef": _TEXT,
    "image_id": _TEXT,
    "snapshot_id": _TEXT,
    "source_volid": _TEXT,
    "backup_id": {"type": "null"},
    "consistencygroup_id": {"type": "null"},
    "group_id": {"type": "null"},
    "volume_type": _TEXT,
    "availability_zone": _TEXT,
    "multiattach": {"type": ["boolean", "null", "string"]},
    "scheduler_hints": {"type": ["object", "null"]},
    **{key: {} for key in ("status", "attach_status", "user_id", "project_id")},
}
# Scheduler hints have no meaning where there is one place for volumes.
VOLUME = Schemas(
    (
        "3.0",
        {
            "type": "object",
            "properties": {
                "volume": {"type": "object", "properties": _NEW_VOLUME, "additionalProperties": False},
                "OS-SCH-HNT:scheduler_hints": {"type": ["object", "null"]},
            },
            "required": ["volume"],
            "additionalProperties": False,
        },
    )
)
VOLUME_CHANGE = _only(
    "volume", {"type": "object", "properties": _NAMED, "additionalProperties": False, "minProperties": 1}
)
METADATA = _only("metadata", _METADATA)
ONE_METADATUM = _only("meta", {**_METADATA, "minProperties": 1, "maxProperties": 1})

NEW_ATTACHMENT = _body(
    "attachment",
    {
        "volume_uuid": _UUID,
        "instance_uuid": _UUID_OR_NULL,
        "connector": {"type": ["object", "null"]},
        "mode": {"enum": ["rw", "ro"]},
    },
    required=("volume_uuid",),
)
ATTACHMENT_CHANGE = _body("attachment", {"connector": {"type": "object", "minProperties": 1}}, required=("connector",))

NEW_SNAPSHOT = _body(
    "snapshot",
    {**_NAMED, "volume_id": _UUID, "force": {"oneOf": [_BOOLEAN, {"type": "null"}]}},
    required=("volume_id",),
)
SNAPSHOT_CHANGE = _body("snapshot", _NAMED)

_TYPE: JsonSchema = {
    "name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"},
    "description": _TEXT,
    "os-volume-type-access:is_public": _BOOLEAN,
    "is_public": _BOOLEAN,
    "extra_specs": _METADATA,
}
NEW_TYPE = _body("volume_type", _TYPE, required=("name",))
TYPE_CHANGE = _body("volume_type", _TYPE)
EXTRA_SPECS = _only("extra_specs", _METADATA)


def _action(name: str, properties: JsonSchema, *, required: tuple[str, ...]) -> Schemas:
    return _body(name, properties, required=required)


#: Action → its body, of those that have one.
ACTIONS = {
    "os-extend": _action("os-extend", {"new_size": {**_SIZE, "oneOf": _SIZE["oneOf"][:2]}}, required=("new_size",)),
    "os-set_bootable": _action("os-set_bootable", {"bootable": _BOOLEAN}, required=("bootable",)),
    "os-update_readonly_flag": _action("os-update_readonly_flag", {"readonly": _BOOLEAN}, required=("readonly",)),
    "os-reset_status": _action(
        "os-reset_status",
        {key: {"type": ["string", "null"]} for key in ("status", "attach_status", "migration_status")},
        required=(),
    ),
    "os-reimage": _action("os-reimage", {"image_id": _UUID, "reimage_reserved": _BOOLEAN}, required=("image_id",)),
    "os-retype": _action("os-retype", {"new_type": _TEXT, "migration_policy": _TEXT}, required=("new_type",)),
    "os-migrate_volume": _action(
        "os-migrate_volume",
        {
            "host": {"type": "string", "minLength": 1, "maxLength": 255},
            "force_host_copy": _BOOLEAN,
            "lock_volume": _BOOLEAN,
        },
        required=("host",),
    ),
    "os-migrate_volume_completion": _action(
        "os-migrate_volume_completion", {"new_volume": _UUID, "error": _BOOLEAN}, required=("new_volume",)
    ),
    "os-extend_volume_completion": _action("os-extend_volume_completion", {"error": _BOOLEAN}, required=()),
    "os-set_image_metadata": _action("os-set_image_metadata", {"metadata": _METADATA}, required=("metadata",)),
    "os-unset_image_metadata": _action("os-unset_image_metadata", {"key": {"type": "string"}}, required=("key",)),
    "os-update_snapshot_status": _action(
        "os-update_snapshot_status",
        {"status": {"type": "string"}, "progress": {"type": ["string", "null"]}},
        required=("status",),
    ),
}
