"""Schemas of the version documents: they take no parameters and mind none."""

from nova_lite.web.endpoint import ANY_QUERY

QUERY = ANY_QUERY
