"""Bodies and queries of what protects servers from being deleted."""

from nova_lite.web.validation import Schemas, query_schema

QUERY = Schemas(("2.1", query_schema()))
SET = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {"deletion_protection": {"type": "boolean"}},
            "required": ["deletion_protection"],
            "additionalProperties": False,
        },
    )
)
