"""What /traits and a provider's traits take."""

from nova_lite.placement.schemas.names import GENERATION, TEXT, TRAIT, closed
from nova_lite.web.validation import Schemas, query_schema

#: The last counts of a parameter that comes again.
LIST = Schemas(("1.6", query_schema(None, {"name": TEXT, "associated": TEXT})))
REPLACE = Schemas(
    (
        "1.6",
        closed(
            {
                "resource_provider_generation": GENERATION,
                "traits": {"type": "array", "items": TRAIT},
            },
            ("resource_provider_generation", "traits"),
        ),
    )
)
