"""How host aggregates look."""

from collections.abc import Sequence

import falcon

from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.db.repositories.aggregates import Aggregate

_AGGREGATE = View[Aggregate](
    Field("id", lambda aggregate: aggregate.id),
    Field("uuid", lambda aggregate: aggregate.uuid, since="2.41"),
    Field("name", lambda aggregate: aggregate.name),
    Field("availability_zone", lambda aggregate: aggregate.availability_zone),
    Field("hosts", lambda aggregate: aggregate.hosts),
    Field("metadata", lambda aggregate: aggregate.metadata),
    Field("created_at", lambda aggregate: timestamp(aggregate.created_at)),
    Field("updated_at", lambda aggregate: timestamp(aggregate.updated_at)),
    Field("deleted", lambda aggregate: False),
    Field("deleted_at", lambda aggregate: None),
)


def one(req: falcon.Request, aggregate: Aggregate) -> dict[str, object]:
    """Return the document of one aggregate."""
    return {"aggregate": _AGGREGATE.render(aggregate, req.context.version)}


def many(req: falcon.Request, aggregates: Sequence[Aggregate]) -> dict[str, object]:
    """Return the document of every aggregate."""
    return {"aggregates": [_AGGREGATE.render(aggregate, req.context.version) for aggregate in aggregates]}
