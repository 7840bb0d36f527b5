"""Queries of what consoles' tokens stand for."""

from nova_lite.web.validation import Schemas, query_schema

SHOW_QUERY = Schemas(("2.1", query_schema(strict=False)), ("2.99", query_schema()))
