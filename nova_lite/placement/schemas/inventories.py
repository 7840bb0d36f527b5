"""What inventories are written as."""

from typing import Any

from nova_lite.placement.model import MAX_INT
from nova_lite.placement.schemas.names import AMOUNT, CLASS_PATTERN, GENERATION, closed, keyed
from nova_lite.web.validation import Schemas

INVENTORY_FIELDS: dict[str, Any] = {
    "total": AMOUNT,
    "reserved": {"type": "integer", "minimum": 0, "maximum": MAX_INT},
    "min_unit": AMOUNT,
    "max_unit": AMOUNT,
    "step_size": AMOUNT,
    "allocation_ratio": {"type": "number", "minimum": 0, "maximum": 3.40282e38},
}
_GENERATION = {"resource_provider_generation": GENERATION}
#: Each may carry the generation it was read with, which says nothing here.
INVENTORIES = keyed(CLASS_PATTERN, closed(_GENERATION | INVENTORY_FIELDS, ("total",)))

REPLACE_ALL = Schemas(
    ("1.0", closed(_GENERATION | {"inventories": INVENTORIES}, ("resource_provider_generation", "inventories")))
)
REPLACE_ONE = Schemas(("1.0", closed(_GENERATION | INVENTORY_FIELDS, ("resource_provider_generation", "total"))))
CREATE = Schemas(
    (
        "1.0",
        closed(
            _GENERATION | INVENTORY_FIELDS | {"resource_class": {"type": "string", "pattern": CLASS_PATTERN}},
            ("resource_class", "total"),
        ),
    )
)
