"""Schemas of limits."""

from nova_lite.api.schemas.values import PROJECT_ID
from nova_lite.web.validation import Schemas, query_schema

QUERY = Schemas(
    ("2.1", query_schema(repeated={"tenant_id": PROJECT_ID}, strict=False)),
    ("2.75", query_schema(repeated={"tenant_id": PROJECT_ID})),
)
