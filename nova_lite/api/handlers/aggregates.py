"""``/os-aggregates`` and ``/os-aggregates/{aggregate_id}``."""

import falcon

from nova_lite import errors
from nova_lite.api.policies import aggregates as policies
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.aggregates import AggregateService
from nova_lite.api.views import aggregates as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class Aggregates:
    """``/os-aggregates``"""

    def __init__(self, aggregates: AggregateService) -> None:
        self._aggregates = aggregates

    @endpoint(policy=policies.INDEX, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.many(req, self._aggregates.all()))


class AggregateItem:
    """``/os-aggregates/{aggregate_id}``"""

    def __init__(self, aggregates: AggregateService) -> None:
        self._aggregates = aggregates

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, aggregate_id: str) -> None:
        if not (aggregate_id.isascii() and aggregate_id.isdigit() and len(aggregate_id) < 10):
            raise errors.Invalid(f"aggregate id: {aggregate_id[:64]!r} is not a number")
        send_json(resp, views.one(req, self._aggregates.show(int(aggregate_id))))
