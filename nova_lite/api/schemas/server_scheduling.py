"""Schemas of how a server's host was chosen."""

from nova_lite.web.validation import Schemas, query_schema

SHOW_QUERY = Schemas(("2.1", query_schema()))
