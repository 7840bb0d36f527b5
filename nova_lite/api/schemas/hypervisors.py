"""Schemas of hypervisors."""

from nova_lite.api.schemas.values import BOOLEAN_TEXT, LIMIT, MARKER, TEXT
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_PAGE: dict[str, JsonSchema] = {"limit": LIMIT, "marker": MARKER}
_SEARCH = _PAGE | {"hypervisor_hostname_pattern": TEXT, "with_servers": BOOLEAN_TEXT}

LIST_QUERY = Schemas(
    ("2.1", query_schema(strict=False)),
    ("2.33", query_schema(repeated=_PAGE, strict=False)),
    ("2.53", query_schema(repeated=_SEARCH)),
)
SHOW_QUERY = Schemas(
    ("2.1", query_schema(strict=False)),
    ("2.53", query_schema(repeated={"with_servers": BOOLEAN_TEXT})),
)
