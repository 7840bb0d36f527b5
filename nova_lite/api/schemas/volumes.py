"""The query of lists of volumes and snapshots, and the body of new volumes."""

from nova_lite.api.schemas.values import LIMIT, TEXT, whole_number
from nova_lite.web import paging
from nova_lite.web.validation import Query, Schemas, query_schema

LIST_QUERY = Schemas(("2.1", query_schema(repeated={"limit": LIMIT, "offset": LIMIT}, strict=False)))

CREATE = Schemas(
    (
        "2.1",
        {
            "type": "object",
            "properties": {
                "volume": {
                    "type": "object",
                    "properties": {
                        "volume_type": TEXT,
                        "metadata": {"type": "object"},
                        "snapshot_id": TEXT,
                        "size": whole_number(1),
                        "availability_zone": TEXT,
                        "display_name": TEXT,
                        "display_description": TEXT,
                    },
                    "required": ["size"],
                    "additionalProperties": False,
                }
            },
            "required": ["volume"],
            "additionalProperties": False,
        },
    )
)


def window(query: Query, max_limit: int) -> slice:
    """Return the part of a list that ``limit`` and ``offset`` ask for; a limit of 0 is none."""
    offset = query.one("offset") or "0"
    start = int(offset) if len(offset) <= _DIGITS else 10**_DIGITS
    return slice(start, start + (paging.page(query, max_limit).limit or max_limit))


#: Python refuses to read numbers of thousands of digits, and no list is so long.
_DIGITS = 12
