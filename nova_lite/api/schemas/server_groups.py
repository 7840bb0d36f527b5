"""Schemas of server groups."""

from typing import Any

from nova_lite.api.schemas.values import LIMIT, NAME, TEXT, whole_number
from nova_lite.web.validation import Schemas, query_schema

_HARD = ("anti-affinity", "affinity")
_SOFT = ("soft-anti-affinity", "soft-affinity")
_RULES = {
    "type": "object",
    "properties": {"max_server_per_host": whole_number(1)},
    "additionalProperties": False,
}


def _create(**properties: Any) -> dict[str, Any]:
    """Return the schema of a body with a name and ``properties``, of which ``rules`` may be left out."""
    group = {
        "type": "object",
        "properties": {"name": NAME, **properties},
        "required": ["name", *(properties.keys() - {"rules"})],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"server_group": group},
        "required": ["server_group"],
        "additionalProperties": False,
    }


def _one_of(*policies: str) -> dict[str, Any]:
    return {"type": "array", "items": {"enum": list(policies)}, "minItems": 1, "maxItems": 1}


CREATE = Schemas(
    ("2.1", _create(policies=_one_of(*_HARD))),
    ("2.15", _create(policies=_one_of(*_HARD, *_SOFT))),
    ("2.64", _create(policy={"enum": [*_HARD, *_SOFT]}, rules=_RULES)),
)
_PAGE: dict[str, Any] = {"all_projects": TEXT, "limit": LIMIT, "offset": LIMIT}
LIST_QUERY = Schemas(
    ("2.1", query_schema(repeated=_PAGE, strict=False)),
    ("2.75", query_schema(repeated=_PAGE)),
)
