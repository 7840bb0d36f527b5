"""What a provider's aggregates take."""

from nova_lite.placement.schemas.names import ANY_UUID, GENERATION, closed
from nova_lite.web.validation import Schemas

_AGGREGATES = {"type": "array", "items": ANY_UUID, "uniqueItems": True}
REPLACE = Schemas(
    ("1.1", _AGGREGATES),
    (
        "1.19",
        closed(
            {"aggregates": _AGGREGATES, "resource_provider_generation": GENERATION},
            ("aggregates", "resource_provider_generation"),
        ),
    ),
)
