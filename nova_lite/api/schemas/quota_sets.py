"""Schemas of quota sets, and of the limits that quota classes share with them."""

from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.api.schemas.values import BOOLEAN, MAX_INT
from nova_lite.api.services.quotas import INJECTED, NETWORKING, RESOURCES, UNLIMITED
from nova_lite.web.validation import Schemas, query_schema

_USER_ID = {"type": "string", "maxLength": 255}
#: A limit; clients may send it as a string, which is bounded where it is read.
_LIMIT = {
    "type": ["integer", "string"],
    "pattern": "^-?[0-9]+$",
    "maxLength": 20,
    "minimum": UNLIMITED,
    "maximum": MAX_INT,
}


def update_schema(document: str, *resources: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a body that sets limits of ``resources``."""
    inner = {
        "type": "object",
        "properties": {**dict.fromkeys(resources, _LIMIT), **more},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {document: inner},
        "required": [document],
        "additionalProperties": False,
    }


def read_limits(body: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits in the valid inside of a body; raises Invalid for a string that says a number out of bounds."""
    limits = {resource: int(value) for resource, value in body.items() if resource != "force"}
    for resource, limit in limits.items():
        if not UNLIMITED <= limit <= MAX_INT:
            raise errors.Invalid(f"{resource}: {limit} is not a whole number from {UNLIMITED} to {MAX_INT}")
    return limits


UPDATE = Schemas(
    ("2.1", update_schema("quota_set", *RESOURCES, *INJECTED, *NETWORKING, force=BOOLEAN)),
    ("2.36", update_schema("quota_set", *RESOURCES, *INJECTED, force=BOOLEAN)),
    ("2.57", update_schema("quota_set", *RESOURCES, force=BOOLEAN)),
)
QUERY = Schemas(
    ("2.1", query_schema(repeated={"user_id": _USER_ID}, strict=False)),
    ("2.75", query_schema(repeated={"user_id": _USER_ID})),
)
