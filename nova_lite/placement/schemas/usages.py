"""What /usages takes."""

from nova_lite.placement.schemas.names import OWNER
from nova_lite.web.validation import Schemas, query_schema

_TYPE = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^([A-Z0-9_]+|all|unknown)$"}


def _with_project(schema: dict[str, object]) -> dict[str, object]:
    return schema | {"required": ["project_id"]}


TOTALS = Schemas(
    ("1.9", _with_project(query_schema({"project_id": OWNER, "user_id": OWNER}))),
    ("1.38", _with_project(query_schema({"project_id": OWNER, "user_id": OWNER, "consumer_type": _TYPE}))),
)
