"""The Compute API's description of itself, by OpenAPI 3.1."""

from collections.abc import Sequence
from typing import Any

from nova_lite.api import faults, idempotency
from nova_lite.api.microversions import NEGOTIATION
from nova_lite.web import openapi
from nova_lite.web.versions import Version

_TEXT = {"type": "string"}
_FAULT = {
    "type": "object",
    "description": "Its one key names the kind of error.",
    "minProperties": 1,
    "maxProperties": 1,
    "propertyNames": {"enum": [*dict.fromkeys(faults.FAULT_NAMES.values()), "computeFault"]},
    "additionalProperties": {
        "type": "object",
        "properties": {
            "code": {"type": "integer", "description": "The status."},
            "message": {**_TEXT, "description": "What is wrong, for people."},
            "retryAfter": {**_TEXT, "description": "Seconds to wait, with 503."},
            "min_version": {**_TEXT, "description": "The first microversion there is, with 406."},
            "max_version": {**_TEXT, "description": "The last one, with 406."},
        },
        "required": ["code", "message"],
        "additionalProperties": False,
    },
}
_ABOUT = openapi.Description(
    title="Compute",
    description=(
        "The Compute API in one of its microversions, written from what checks requests. The project's id may stand "
        "before each path: /v2.1/{project_id}/servers. What good answers hold is not described. A whole number is "
        "written without a fraction: 1, not 1.0. x-policy-rules are the rules of the operator's policy that are asked; "
        "x-other-query-parameters says what becomes of query parameters that are not listed."
    ),
    negotiation=NEGOTIATION,
    fault=_FAULT,
    request_id_headers=("X-Compute-Request-Id",),
    post_headers={path: {idempotency.HEADER: idempotency.NAME} for path in idempotency.TAKEN_AT},
)


def document(table: Sequence[tuple[str, object]], version: Version, base: str) -> dict[str, Any]:
    """Return the description of what ``version`` knows of the URL table, which begins at the URL ``base``."""
    return openapi.document(_ABOUT, table, version, base)
