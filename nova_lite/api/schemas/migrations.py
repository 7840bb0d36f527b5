"""Queries of migrations."""

from nova_lite.api.schemas.values import LIMIT, MARKER, TEXT
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_MOMENT: JsonSchema = {"type": "string", "minLength": 1, "maxLength": 64}
_FILTERS: dict[str, JsonSchema] = dict.fromkeys(
    ("hidden", "host", "instance_uuid", "migration_type", "source_compute", "status"), TEXT
)
_PAGE: dict[str, JsonSchema] = {"limit": LIMIT, "marker": MARKER, "changes-since": _MOMENT}
_BEFORE = {**_PAGE, "changes-before": _MOMENT}
_OWNERS: dict[str, JsonSchema] = {"user_id": TEXT, "project_id": TEXT}

LIST_QUERY = Schemas(
    ("2.1", query_schema(repeated=_FILTERS, strict=False)),
    ("2.59", query_schema(single=_PAGE, repeated=_FILTERS)),
    ("2.66", query_schema(single=_BEFORE, repeated=_FILTERS)),
    ("2.80", query_schema(single={**_BEFORE, **_OWNERS}, repeated=_FILTERS)),
)
