"""What /usages takes."""

from nova_lite.placement.schemas.names import OWNER
from nova_lite.web.validation import JsonSchema, Schemas, query_schema

_TYPE = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^([A-Z0-9_]+|all|unknown)$"}


def _totals(parameters: dict[str, JsonSchema]) -> JsonSchema:
    """Return the schema of a query whose parameters may each come again: the last one counts."""
    return query_schema(None, parameters) | {"required": ["project_id"]}


TOTALS = Schemas(
    ("1.9", _totals({"project_id": OWNER, "user_id": OWNER})),
    ("1.38", _totals({"project_id": OWNER, "user_id": OWNER, "consumer_type": _TYPE})),
)
