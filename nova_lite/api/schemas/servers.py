"""Bodies and queries of servers, dated where a microversion changed them."""

import copy
from typing import Any

from nova_lite import errors
from nova_lite.api.schemas.values import (
    BOOLEAN,
    BOOLEAN_TEXT,
    DESCRIPTION,
    HOST_NAME,
    LIMIT,
    MARKER,
    NAME,
    SORT_DIR,
    TEXT,
    whole_number,
)
from nova_lite.web.validation import JsonSchema, Query, Schemas, query_schema
from nova_lite.web.versions import Version

METADATA_KEY = r"^[a-zA-Z0-9-_:. ]{1,255}$"
METADATA: JsonSchema = {
    "type": "object",
    "patternProperties": {METADATA_KEY: {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
#: As many as one server can have.
MAX_TAGS = 50
TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
_UUID = {"type": "string", "format": "uuid"}
_IMAGE_REF = {"anyOf": [_UUID, {"type": "string", "maxLength": 0}]}
_FLAVOR_REF = {"type": ["string", "integer"], "minLength": 1, "maxLength": 1024}
IP_V4 = {"type": "string", "format": "ipv4"}
IP_V6 = {"type": "string", "format": "ipv6"}
#: Shorter than a flavor's may be.
SERVER_DESCRIPTION = {**DESCRIPTION, "maxLength": 255}
DISK_CONFIG = {"enum": ["AUTO", "MANUAL"]}
PERSONALITY = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "contents": {"type": "string"}},
        "required": ["path", "contents"],
        "additionalProperties": False,
    },
}
CERTIFICATES = {
    "type": ["array", "null"],
    "items": {"type": "string", "minLength": 1},
    "maxItems": 50,
    "uniqueItems": True,
}
HOST_LABEL = {"type": "string", "minLength": 2, "maxLength": 63, "pattern": "^[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]$"}
_DOMAIN_NAME = HOST_NAME
_COUNT = whole_number(1)

#: What block device mappings say in both syntaxes.
_ANY_DEVICE: dict[str, Any] = {
    "volume_id": _UUID,
    "snapshot_id": _UUID,
    "volume_size": whole_number(1),
    "delete_on_termination": BOOLEAN,
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "no_device": {},
    "connection_info": TEXT,
}
_OLD_DEVICE: dict[str, Any] = {
    "type": "object",
    "properties": {**_ANY_DEVICE, "virtual_name": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
_DEVICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        **_ANY_DEVICE,
        "source_type": {"enum": ["volume", "image", "snapshot", "blank"]},
        "destination_type": {"enum": ["local", "volume"]},
        "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
        "image_id": _UUID,
        "boot_index": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]{1,10}$"},
        "device_type": {"type": "string", "maxLength": 255},
        "disk_bus": {"type": "string", "maxLength": 255},
        "guest_format": {"type": "string", "maxLength": 255},
    },
    "additionalProperties": False,
}
_NETWORK: dict[str, Any] = {
    "type": "object",
    "properties": {"uuid": TEXT, "port": {"type": ["string", "null"]}, "fixed_ip": TEXT},
    "additionalProperties": False,
}


def _server(properties: dict[str, Any], required: list[str], **beside: Any) -> dict[str, Any]:
    """Return the schema of ``{"server": {…}}``."""
    server: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        server["required"] = required
    return {
        "type": "object",
        "properties": {"server": server, **beside},
        "required": ["server"],
        "additionalProperties": False,
    }


def _since(schema: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return a copy of ``schema`` in which the server may have further properties, or lack those set to None."""
    later = copy.deepcopy(schema)
    known = later["properties"]["server"]["properties"]
    for name, value in properties.items():
        if value is None:
            del known[name]
        else:
            known[name] = value
    return later


def _tagged(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a copy of ``schema`` in which the items of list ``name`` may have a tag."""
    later = copy.deepcopy(schema)
    items = later["properties"]["server"]["properties"][name]
    if "oneOf" in items:
        items = items["oneOf"][0]
    items["items"]["properties"]["tag"] = TAG
    return later


_HINTED = {"type": "string", "pattern": r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"}
_SERVERS = {"oneOf": [_HINTED, {"type": "array", "items": _HINTED}]}
_HINTS = {
    "type": "object",
    "properties": {
        "group": _HINTED,
        "same_host": _SERVERS,
        "different_host": _SERVERS,
        "query": {"type": ["string", "object"]},
        "target_cell": NAME,
        "different_cell": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "build_near_host_ip": {"type": "string", "oneOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        "cidr": {"type": "string", "pattern": r"^/[0-9a-f.:]{1,45}$"},
    },
}
_CREATE = _server(
    {
        "name": NAME,
        "flavorRef": _FLAVOR_REF,
        "imageRef": _IMAGE_REF,
        "adminPass": {"type": "string", "maxLength": 255},
        "metadata": METADATA,
        "networks": {"type": "array", "items": _NETWORK},
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": IP_V4,
        "accessIPv6": IP_V6,
        "personality": PERSONALITY,
        "availability_zone": NAME,
        "block_device_mapping": {"type": "array", "items": _OLD_DEVICE},
        "block_device_mapping_v2": {"type": "array", "items": _DEVICE},
        "config_drive": BOOLEAN,
        "key_name": NAME,
        "min_count": _COUNT,
        "max_count": _COUNT,
        "return_reservation_id": BOOLEAN,
        "security_groups": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": NAME}, "additionalProperties": False},
        },
        "user_data": {"type": "string", "maxLength": 65535},
        # Ours alone, in every version alike.
        "deletion_protection": {"type": "boolean"},
    },
    ["name", "flavorRef"],
    **{"os:scheduler_hints": _HINTS, "OS-SCH-HNT:scheduler_hints": _HINTS},
)
_CREATE_219 = _since(_CREATE, description=SERVER_DESCRIPTION)
_CREATE_232 = _tagged(_tagged(_CREATE_219, "networks"), "block_device_mapping_v2")
_CREATE_233 = _tagged(_CREATE_219, "networks")
_CREATE_237 = _since(
    _CREATE_233,
    networks={
        "oneOf": [
            {"type": "array", "items": {**_NETWORK, "properties": {**_NETWORK["properties"], "uuid": _UUID}}},
            {"enum": ["none", "auto"]},
        ]
    },
)
_CREATE_237["properties"]["server"]["required"] = ["name", "flavorRef", "networks"]
_CREATE_242 = _tagged(_tagged(_CREATE_237, "networks"), "block_device_mapping_v2")
_CREATE_252 = _since(_CREATE_242, tags={"type": "array", "items": TAG, "maxItems": MAX_TAGS})
_CREATE_257 = _since(_CREATE_252, personality=None)
_CREATE_263 = _since(_CREATE_257, trusted_image_certificates=CERTIFICATES)
_CREATE_267 = copy.deepcopy(_CREATE_263)
_CREATE_267["properties"]["server"]["properties"]["block_device_mapping_v2"]["items"]["properties"]["volume_type"] = {
    "type": ["string", "null"],
    "maxLength": 255,
}
_CREATE_274 = _since(_CREATE_267, host=_DOMAIN_NAME, hypervisor_hostname=_DOMAIN_NAME)
_CREATE_290 = _since(_CREATE_274, hostname=HOST_LABEL)
_CREATE_294 = _since(_CREATE_290, hostname=_DOMAIN_NAME)

#: ``dry_run`` is ours, in every version alike.
CREATE_QUERY = Schemas(
    ("2.1", query_schema(single={"dry_run": BOOLEAN_TEXT}, strict=False)),
    ("2.102", query_schema(single={"dry_run": BOOLEAN_TEXT})),
)
CREATE = Schemas(
    ("2.1", _CREATE),
    ("2.19", _CREATE_219),
    ("2.32", _CREATE_232),
    ("2.33", _CREATE_233),
    ("2.37", _CREATE_237),
    ("2.42", _CREATE_242),
    ("2.52", _CREATE_252),
    ("2.57", _CREATE_257),
    ("2.63", _CREATE_263),
    ("2.67", _CREATE_267),
    ("2.74", _CREATE_274),
    ("2.90", _CREATE_290),
    ("2.94", _CREATE_294),
)

_UPDATE = _server({"name": NAME, "OS-DCF:diskConfig": DISK_CONFIG, "accessIPv4": IP_V4, "accessIPv6": IP_V6}, [])
_UPDATE_219 = _since(_UPDATE, description=SERVER_DESCRIPTION)
_UPDATE_290 = _since(_UPDATE_219, hostname=HOST_LABEL)
_UPDATE_294 = _since(_UPDATE_290, hostname=_DOMAIN_NAME)

UPDATE = Schemas(
    ("2.1", _UPDATE),
    ("2.19", _UPDATE_219),
    ("2.90", _UPDATE_290),
    ("2.94", _UPDATE_294),
    ("2.104", _since(_UPDATE_294, pinned_availability_zone={**NAME, "type": ["string", "null"]})),
)

_MOMENT = {"type": "string", "maxLength": 64}
#: Filters that name columns; who may use which is the service's matter.
# fmt: off
FILTERS = [
    "access_ip_v4", "access_ip_v6", "auto_disk_config", "availability_zone", "config_drive", "created_at",
    "description", "display_description", "display_name", "flavor", "host", "hostname", "image", "image_ref", "ip",
    "ip6", "kernel_id", "key_name", "launch_index", "launched_at", "locked_by", "name", "node", "power_state",
    "progress", "project_id", "ramdisk_id", "reservation_id", "root_device_name", "soft_deleted", "task_state",
    "tenant_id", "terminated_at", "user_id", "uuid", "vm_state",
]
# fmt: on
# fmt: off
SORT_KEYS = [
    "access_ip_v4", "access_ip_v6", "auto_disk_config", "availability_zone", "config_drive", "created_at",
    "display_description", "display_name", "host", "hostname", "image_ref", "instance_type_id", "kernel_id",
    "key_name", "launch_index", "launched_at", "locked_by", "node", "power_state", "progress", "project_id",
    "ramdisk_id", "root_device_name", "task_state", "terminated_at", "updated_at", "user_id", "uuid", "vm_state",
]
# fmt: on
#: Once accepted and without effect; from 2.75 on they are refused.
# fmt: off
IGNORED_SORT_KEYS = [
    "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted",
    "deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on",
    "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode",
]
# fmt: on
_TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")
#: Filters that are matched must have something to match; the others may be empty.
_EXACT_FILTERS = frozenset(
    {
        "host",
        "image",
        "image_ref",
        "launch_index",
        "locked",
        "project_id",
        "soft_deleted",
        "task_state",
        "tenant_id",
        "user_id",
        "uuid",
        "vm_state",
    }
)
_MATCHED: JsonSchema = {"type": "string", "minLength": 1}
#: What an instance has inside and nobody filters by.
_INSIDE = frozenset(
    {
        "block_device_mapping",
        "info_cache",
        "metadata",
        "pci_devices",
        "security_groups",
        "services",
        "system_metadata",
    }
)


def _list_query(*more: str, sort_keys: list[str], strict: bool = False, has_end: bool = True) -> dict[str, Any]:
    repeated: dict[str, JsonSchema] = dict.fromkeys(["all_tenants", "deleted", "status"], TEXT)
    repeated |= {name: TEXT if name in _EXACT_FILTERS else _MATCHED for name in (*FILTERS, *more)}
    repeated |= {"sort_key": {"enum": sort_keys}, "sort_dir": SORT_DIR, "changes-since": _MOMENT}
    if has_end:
        repeated["changes-before"] = _MOMENT
    # Also in strict versions these are refused to those only who may use all filters.
    repeated |= {"limit": LIMIT, "marker": MARKER, **dict.fromkeys(sorted(_INSIDE), TEXT)}
    return query_schema(repeated=repeated, patterns={"^_": TEXT}, strict=strict)


_ALL_KEYS = [*SORT_KEYS, *IGNORED_SORT_KEYS, "locked"]
LIST_QUERY = Schemas(
    ("2.1", _list_query(sort_keys=_ALL_KEYS, has_end=False)),
    ("2.26", _list_query(*_TAG_FILTERS, sort_keys=_ALL_KEYS, has_end=False)),
    ("2.66", _list_query(*_TAG_FILTERS, sort_keys=_ALL_KEYS)),
    ("2.73", _list_query(*_TAG_FILTERS, "locked", sort_keys=_ALL_KEYS)),
    ("2.75", _list_query(*_TAG_FILTERS, "locked", sort_keys=[*SORT_KEYS, "locked"], strict=True)),
)

#: Filters anyone may use, by the version they came with; the others are for administrators.
_OPEN_FILTERS = (
    ("2.1", "reservation_id name status image flavor ip changes-since all_tenants"),
    ("2.5", "ip6"),
    ("2.26", " ".join(_TAG_FILTERS)),
    ("2.66", "changes-before"),
    ("2.73", "locked"),
    (
        "2.83",
        "availability_zone config_drive key_name created_at launched_at terminated_at power_state task_state vm_state "
        "progress user_id",
    ),
    ("2.90", "hostname"),
)
_LOCKED = Version(2, 73)
PAGING = frozenset({"limit", "marker", "sort_key", "sort_dir"})


def sort_keys(query: Query, version: Version) -> list[str]:
    """Return the sort keys in ``query``, those that mean nothing yet in ``version`` as empty ones."""
    return ["" if key == "locked" and version < _LOCKED else key for key in query.all("sort_key")]


def filters(query: Query, version: Version, *, all_of_them: bool) -> dict[str, list[str]]:
    """Return the filters in ``query`` that count: those anyone may use in ``version``, or all; others are ignored.

    Raises Invalid when someone who may use all names what is none.
    """
    counting = {name for since, names in _OPEN_FILTERS if version >= Version.parse(since) for name in names.split()}
    if all_of_them:
        counting |= {*FILTERS, "deleted"}
        for name in query:
            if name in _INSIDE or name.startswith("_"):
                raise errors.Invalid(f"{name[:64]}: is no filter")
    return {name: values for name, values in query.items() if name not in PAGING and name in counting}
