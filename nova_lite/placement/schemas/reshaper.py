"""What /reshaper takes."""

from typing import Any

from nova_lite.placement.schemas.allocations import RESHAPED
from nova_lite.placement.schemas.inventories import INVENTORIES
from nova_lite.placement.schemas.names import GENERATION, UUID, closed, keyed
from nova_lite.web.validation import Schemas

_INVENTORIES = keyed(
    UUID["pattern"],
    closed(
        {"resource_provider_generation": GENERATION, "inventories": INVENTORIES},
        ("resource_provider_generation", "inventories"),
    ),
    minimum=1,
)


def _whole(allocations: dict[str, Any]) -> dict[str, Any]:
    return closed({"inventories": _INVENTORIES, "allocations": allocations}, ("inventories", "allocations"))


RESHAPE = Schemas(*((since, _whole(schema)) for since, schema in RESHAPED))
