"""Schemas of what projects used."""

from nova_lite.api.schemas.values import LIMIT, MARKER, TEXT
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_WINDOW: dict[str, JsonSchema] = {"start": TEXT, "end": TEXT}
_PAGE: dict[str, JsonSchema] = {"limit": LIMIT, "marker": MARKER}
_DETAILED: dict[str, JsonSchema] = {"detailed": TEXT}

LIST_QUERY = Schemas(
    ("2.1", query_schema(repeated=_WINDOW | _DETAILED, strict=False)),
    ("2.40", query_schema(repeated=_WINDOW | _DETAILED | _PAGE, strict=False)),
    ("2.75", query_schema(repeated=_WINDOW | _DETAILED | _PAGE)),
)
SHOW_QUERY = Schemas(
    ("2.1", query_schema(repeated=_WINDOW, strict=False)),
    ("2.40", query_schema(repeated=_WINDOW | _PAGE, strict=False)),
    ("2.75", query_schema(repeated=_WINDOW | _PAGE)),
)
