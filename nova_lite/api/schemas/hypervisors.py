"""Schemas of hypervisors."""

from nova_lite.api.schemas.values import BOOLEAN_TEXT, HOST_NAME, LIMIT, MARKER
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_PAGE: dict[str, JsonSchema] = {"limit": LIMIT, "marker": MARKER}
_SEARCH = _PAGE | {"hypervisor_hostname_pattern": HOST_NAME, "with_servers": BOOLEAN_TEXT}

LIST_QUERY = Schemas(
    ("2.1", query_schema(strict=False)),
    ("2.33", query_schema(repeated=_PAGE, strict=False)),
    ("2.53", query_schema(_SEARCH)),
)
SHOW_QUERY = Schemas(
    ("2.1", query_schema(strict=False)),
    ("2.53", query_schema({"with_servers": BOOLEAN_TEXT})),
)
