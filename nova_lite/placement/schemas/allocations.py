"""What a consumer's allocations are written as."""

from typing import Any

from nova_lite.placement.schemas.names import AMOUNT, CLASS_PATTERN, CONSUMER_GENERATION, OWNER, UUID, closed, keyed
from nova_lite.web.validation import Schemas

_UUID_KEY = UUID["pattern"]
_RESOURCES = keyed(CLASS_PATTERN, AMOUNT, minimum=1)
_TYPE = {"type": "string", "pattern": "^[A-Z0-9_]+$", "minLength": 1, "maxLength": 255}
#: As candidates tell them: request group → providers. They are not kept, so no name of a group is wrong.
_MAPPINGS = keyed("", {"type": "array", "items": UUID, "minItems": 1}, 1)
_CONSUMER_GENERATION = {"anyOf": [CONSUMER_GENERATION, {"type": "null"}]}
_OWNERS = {"project_id": OWNER, "user_id": OWNER}

_LIST = {
    "type": "array",
    "minItems": 1,
    "items": closed(
        {"resource_provider": closed({"uuid": UUID}, ("uuid",)), "resources": _RESOURCES},
        ("resource_provider", "resources"),
    ),
}


def _by_provider(minimum: int) -> dict[str, Any]:
    one = closed({"resources": _RESOURCES, "generation": {"type": "integer"}}, ("resources",))
    return keyed(_UUID_KEY, one, minimum)


_V1_12 = {"allocations": _by_provider(1)} | _OWNERS
_V1_28 = {"allocations": _by_provider(0), "consumer_generation": _CONSUMER_GENERATION} | _OWNERS
_V1_34 = _V1_28 | {"mappings": _MAPPINGS}
_V1_38 = _V1_34 | {"consumer_type": _TYPE}
_R1_12 = ("allocations", "project_id", "user_id")
_R1_28 = (*_R1_12, "consumer_generation")
_R1_38 = (*_R1_28, "consumer_type")

REPLACE = Schemas(
    ("1.0", closed({"allocations": _LIST}, ("allocations",))),
    ("1.8", closed({"allocations": _LIST} | _OWNERS, _R1_12)),
    ("1.12", closed(_V1_12, _R1_12)),
    ("1.28", closed(_V1_28, _R1_28)),
    ("1.34", closed(_V1_34, _R1_28)),
    ("1.38", closed(_V1_38, _R1_38)),
)


def _many(properties: dict[str, Any], required: tuple[str, ...], minimum: int = 1) -> dict[str, Any]:
    return keyed(_UUID_KEY, closed(properties, required), minimum)


_POST_1_13 = {"allocations": _by_provider(0)} | _OWNERS
MANY = Schemas(
    ("1.13", _many(_POST_1_13, _R1_12)),
    ("1.28", _many(_V1_28, _R1_28)),
    ("1.34", _many(_V1_34, _R1_28)),
    ("1.38", _many(_V1_38, _R1_38)),
)
#: Allocations inside a reshape: as in ``MANY``, but there may be none.
RESHAPED = (
    ("1.30", _many(_V1_28, _R1_28, 0)),
    ("1.34", _many(_V1_34, _R1_28, 0)),
    ("1.38", _many(_V1_38, _R1_38, 0)),
)
