"""Schemas of flavors."""

from typing import Any

from nova_lite.api.schemas.values import BOOLEAN, DESCRIPTION, LIMIT, MARKER, NAME, SORT_DIR, TEXT, whole_number
from nova_lite.db.repositories.flavors import SORT_KEYS
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

FLAVOR_ID_PATTERN = r"^[a-zA-Z0-9._-](?:[a-zA-Z0-9. _-]*[a-zA-Z0-9._-])?$"

_FLAVOR: dict[str, JsonSchema] = {
    "name": NAME,
    "id": {"type": ["string", "number", "null"], "minLength": 1, "maxLength": 255, "pattern": FLAVOR_ID_PATTERN},
    "ram": whole_number(1),
    "vcpus": whole_number(1),
    "disk": whole_number(0),
    "OS-FLV-EXT-DATA:ephemeral": whole_number(0),
    "swap": whole_number(0),
    "os-flavor-access:is_public": BOOLEAN,
}
_RXTX = {
    "type": ["number", "string"],
    "pattern": r"^[0-9]{1,39}(?:\.[0-9]{1,39})?$",
    "minimum": 0,
    "exclusiveMinimum": True,
    "maximum": 3.40282e38,
}


def _create(**more: JsonSchema) -> JsonSchema:
    return _body({**_FLAVOR, **more}, required=["name", "ram", "vcpus", "disk"])


def _body(properties: dict[str, JsonSchema], required: list[str]) -> JsonSchema:
    flavor = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "object", "properties": {"flavor": flavor}, "required": ["flavor"], "additionalProperties": False}


def _list(*, without: str = "", strict: bool = False, **more: JsonSchema) -> dict[str, Any]:
    return query_schema(
        repeated={
            "limit": LIMIT,
            "marker": MARKER,
            "is_public": TEXT,
            "minRam": TEXT,
            "minDisk": TEXT,
            "sort_key": {"enum": sorted(key for key in SORT_KEYS if key != without)},
            "sort_dir": SORT_DIR,
            **more,
        },
        strict=strict,
    )


CREATE = Schemas(
    ("2.1", _create(rxtx_factor=_RXTX)),
    ("2.55", _create(rxtx_factor=_RXTX, description=DESCRIPTION)),
    ("2.102", _create(description=DESCRIPTION)),
)
UPDATE = Schemas(("2.55", _body({"description": DESCRIPTION}, required=["description"])))
LIST_QUERY = Schemas(
    ("2.1", _list()),
    ("2.75", _list(strict=True)),
    ("2.102", _list(strict=True, without="rxtx_factor", name={"type": "string", "maxLength": 255})),
)
