"""Schemas of quota sets."""

from nova_lite.web.validation import Schemas, query_schema

_USER_ID = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9._-]+$"}

QUERY = Schemas(
    ("2.1", query_schema(repeated={"user_id": _USER_ID}, strict=False)),
    ("2.75", query_schema(repeated={"user_id": _USER_ID})),
)
