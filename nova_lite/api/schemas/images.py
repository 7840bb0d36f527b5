"""The query of lists of images."""

from nova_lite.api.schemas.values import MARKER, POSITIVE, TEXT
from nova_lite.web.validation import JsonSchema, Query, Schemas, query_schema

#: Filter → what the image service calls it; other properties follow ``property-``.
_FILTERS = {
    "name": "name",
    "status": "status",
    "server": "instance_uuid",
    "type": "image_type",
    "minRam": "min_ram",
    "minDisk": "min_disk",
    "changes-since": "updated_at",
}
_PROPERTY = "property-"

#: Of these ``limit`` and ``marker`` are heeded.
_PAGE: dict[str, JsonSchema] = {**dict.fromkeys(("limit", "page_size", "offset"), POSITIVE), "marker": MARKER}
LIST_QUERY = Schemas(
    (
        "2.1",
        query_schema(
            repeated={**dict.fromkeys(_FILTERS, TEXT), **_PAGE},
            patterns={f"^{_PROPERTY}": TEXT},
            strict=False,
        ),
    )
)


def filters(query: Query) -> dict[str, str]:
    """Return what a list is narrowed to, as the image service takes it."""
    found = {}
    for name in query:
        value = query.one(name) or ""
        if name in _FILTERS:
            found[_FILTERS[name]] = value
        elif name.startswith(_PROPERTY) and name != _PROPERTY:
            found[name.removeprefix(_PROPERTY)] = value
    if "status" in found:
        found["status"] = found["status"].lower()
    if "instance_uuid" in found:
        # It may be the server's URL.
        found["instance_uuid"] = found["instance_uuid"].rpartition("/")[2]
    if "updated_at" in found:
        found["updated_at"] = f"gte:{found['updated_at']}"
    return found
