"""Schemas of keypairs."""

from typing import Any

from nova_lite.api.schemas.values import LIMIT, MARKER
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_PUBLIC_KEY = {"type": "string", "maxLength": 65535}
_TYPE = {"enum": ["ssh", "x509"]}
_USER_ID = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9._-]+$"}


def _name(characters: str) -> JsonSchema:
    """Return the schema of a name of ``characters`` and, inside it, spaces."""
    pattern = rf"^[{characters}](?:[{characters} ]*[{characters}])?$"
    return {"type": "string", "minLength": 1, "maxLength": 255, "pattern": pattern}


_OLD_NAME = _name(r"a-zA-Z0-9_\-")
_NAME = _name(r"a-zA-Z0-9_@.\-")


def _create(name: JsonSchema, *required: str, **more: JsonSchema) -> JsonSchema:
    keypair = {
        "type": "object",
        "properties": {"name": name, "public_key": _PUBLIC_KEY, **more},
        "required": ["name", *required],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"keypair": keypair},
        "required": ["keypair"],
        "additionalProperties": False,
    }


def _query(*, strict: bool = False, **repeated: Any) -> dict[str, Any]:
    return query_schema(repeated=repeated, strict=strict)


CREATE = Schemas(
    ("2.1", _create(_OLD_NAME)),
    ("2.2", _create(_OLD_NAME, type=_TYPE)),
    ("2.10", _create(_OLD_NAME, type=_TYPE, user_id=_USER_ID)),
    ("2.92", _create(_NAME, "public_key", type=_TYPE, user_id=_USER_ID)),
)
LIST_QUERY = Schemas(
    ("2.1", _query()),
    ("2.10", _query(user_id=_USER_ID)),
    ("2.35", _query(user_id=_USER_ID, limit=LIMIT, marker=MARKER)),
    ("2.75", _query(strict=True, user_id=_USER_ID, limit=LIMIT, marker=MARKER)),
)
ITEM_QUERY = Schemas(
    ("2.1", _query()),
    ("2.10", _query(user_id=_USER_ID)),
    ("2.75", _query(strict=True, user_id=_USER_ID)),
)
