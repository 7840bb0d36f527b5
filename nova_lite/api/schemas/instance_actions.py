"""Schemas of what was done to a server."""

from nova_lite.api.schemas.values import LIMIT, MARKER
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_MOMENT = {"type": "string", "minLength": 1, "maxLength": 64}
_PAGE: dict[str, JsonSchema] = {"limit": LIMIT, "marker": {**MARKER, "minLength": 1}, "changes-since": _MOMENT}

LIST_QUERY = Schemas(
    ("2.1", query_schema(strict=False)),
    ("2.58", query_schema(single=_PAGE)),
    ("2.66", query_schema(single={**_PAGE, "changes-before": _MOMENT})),
)
