"""Schemas of cells."""

from nova_lite.web.validation import Schemas, query_schema

LIST_QUERY = Schemas(("2.1", query_schema()))
