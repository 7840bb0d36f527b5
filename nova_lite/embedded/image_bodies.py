"""What clients may say of an image when they make or change one: pure. Errors name the field."""

import uuid
from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.web.validation import Schemas
from nova_lite.web.versions import Version

_VERSION = Version(2, 0)
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_TEXT = {"type": "string", "maxLength": 255}
_ATTRIBUTES: Mapping[str, Any] = {
    "name": _TEXT,
    "disk_format": {"enum": ["raw", "qcow2", "iso", "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "vdi", "ploop"]},
    "container_format": {"enum": ["bare", "ovf", "ova", "ami", "ari", "aki", "docker", "compressed"]},
    "visibility": {"enum": ["public", "private", "shared", "community"]},
    "min_disk": _NUMBER,
    "min_ram": _NUMBER,
    "protected": {"type": "boolean"},
    "tags": {"type": "array", "items": _TEXT, "maxItems": 128},
}
#: Any other name is a property of the image's own.
_IMAGE = Schemas(
    ("2.0", {"type": "object", "properties": _ATTRIBUTES, "additionalProperties": {"type": "string"}}),
)
_CHANGE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"op": {"enum": ["add", "replace", "remove"]}, "path": {"type": "string", "pattern": "^/."}},
    "required": ["op", "path"],
}
_CHANGES = Schemas(("2.0", {"type": "array", "items": _CHANGE}))
# fmt: off
#: What the service itself says of an image.
_READ_ONLY = frozenset((
    "checksum", "created_at", "direct_url", "file", "locations", "os_hash_algo", "os_hash_value", "os_hidden", "owner",
    "schema", "self", "size", "status", "updated_at", "virtual_size",
))
# fmt: on


def new_image(body: object) -> tuple[str | None, dict[str, Any]]:
    """Return the id asked for, if any, and the attributes of an image to be made; raises Invalid, Forbidden."""
    _IMAGE.check(body, _VERSION)
    assert isinstance(body, dict)  # noqa: S101 - the schema says so
    values = dict(body)
    image_id = values.pop("id", None)
    if image_id is not None:
        try:
            image_id = str(uuid.UUID(image_id))
        except ValueError as exc:
            raise errors.Invalid(f"id: {image_id[:64]!r} is no UUID") from exc
    return image_id, _attributes(values)


def changed_image(body: object, properties: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes that a JSON patch changes of an image with ``properties``.

    Raises Invalid, Forbidden for what is not the client's to say, Conflict for removing what is not there.
    """
    _CHANGES.check(body, _VERSION)
    assert isinstance(body, list)  # noqa: S101 - the schema says so
    values: dict[str, Any] = dict(properties)
    for change in body:
        name = change["path"][1:].replace("~1", "/").replace("~0", "~")
        if change["op"] != "remove":
            values[name] = change.get("value")
        elif values.pop(name, None) is None:
            raise errors.Conflict(f"Property {name[:64]} does not exist.")
    _IMAGE.check(values, _VERSION)
    return _attributes(values)


def _attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``values``, as on the wire, are here: attributes by name, and the rest as properties."""
    for name in values:
        if name in _READ_ONLY or name == "id":
            raise errors.Forbidden(f"Attribute '{name}' is read-only.")
    attributes = {name: value for name, value in values.items() if name in _ATTRIBUTES}
    if "protected" in attributes:
        attributes["is_protected"] = attributes.pop("protected")
    if "tags" in attributes:
        attributes["tags"] = tuple(dict.fromkeys(attributes["tags"]))
    return {**attributes, "properties": {name: value for name, value in values.items() if name not in _ATTRIBUTES}}
