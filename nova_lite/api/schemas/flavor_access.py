"""Schemas of who may use a private flavor."""

from nova_lite.api.schemas.values import PROJECT_ID
from nova_lite.web.validation import Schemas

_TENANT = {
    "type": "object",
    "properties": {"tenant": PROJECT_ID},
    "required": ["tenant"],
    "additionalProperties": False,
}
ACTION = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {"addTenantAccess": _TENANT, "removeTenantAccess": _TENANT},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    )
)
