"""Schemas of the operations on a server."""

from nova_lite.api.schemas.values import LIMIT, MARKER
from nova_lite.web.validation import Schemas, query_schema

LIST_QUERY = Schemas(("2.1", query_schema(single={"limit": LIMIT, "marker": {**MARKER, "minLength": 1}})))
SHOW_QUERY = Schemas(("2.1", query_schema()))
