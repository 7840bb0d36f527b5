"""How host aggregates look."""

from collections.abc import Sequence

import falcon

from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.db.repositories.aggregates import Aggregate

_MEMBERS = (
    Field[Aggregate]("hosts", lambda aggregate: aggregate.hosts),
    Field[Aggregate]("metadata", lambda aggregate: aggregate.metadata),
)
_FACTS = (
    Field[Aggregate]("id", lambda aggregate: aggregate.id),
    Field[Aggregate]("uuid", lambda aggregate: aggregate.uuid, since="2.41"),
    Field[Aggregate]("name", lambda aggregate: aggregate.name),
    Field[Aggregate]("availability_zone", lambda aggregate: aggregate.availability_zone),
    Field[Aggregate]("created_at", lambda aggregate: timestamp(aggregate.created_at)),
    Field[Aggregate]("updated_at", lambda aggregate: timestamp(aggregate.updated_at)),
    Field[Aggregate]("deleted", lambda aggregate: False),
    Field[Aggregate]("deleted_at", lambda aggregate: None),
)
_AGGREGATE = View(*_FACTS, *_MEMBERS)
_NEW = View(*_FACTS)


def created(req: falcon.Request, aggregate: Aggregate) -> dict[str, object]:
    """Return the document of an aggregate just made: as ever without its hosts and metadata."""
    return {"aggregate": _NEW.render(aggregate, req.context.version)}


def one(req: falcon.Request, aggregate: Aggregate) -> dict[str, object]:
    """Return the document of one aggregate."""
    return {"aggregate": _AGGREGATE.render(aggregate, req.context.version)}


def many(req: falcon.Request, aggregates: Sequence[Aggregate]) -> dict[str, object]:
    """Return the document of every aggregate."""
    return {"aggregates": [_AGGREGATE.render(aggregate, req.context.version) for aggregate in aggregates]}
