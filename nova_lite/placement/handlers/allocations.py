"""/allocations, /allocations/{uuid} and /resource_providers/{uuid}/allocations: HTTP only."""

import falcon

from nova_lite.placement.handlers.paths import consumer_uuid, provider_uuid
from nova_lite.placement.schemas import allocations as schemas
from nova_lite.placement.services.allocations import AllocationService, claim
from nova_lite.placement.views import allocations as views
from nova_lite.placement.views import dates
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class ManyAllocations:
    """What several consumers hold, written at once."""

    def __init__(self, service: AllocationService) -> None:
        self._service = service

    @endpoint(policy="placement:allocations:manage", body=schemas.MANY, enforce=True, since="1.13")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make every consumer hold what the body says."""
        self._service.replace([claim(uuid, entry) for uuid, entry in req.context.body.items()])
        resp.status = falcon.HTTP_204


class ConsumerAllocations:
    """What one consumer holds."""

    def __init__(self, service: AllocationService) -> None:
        self._service = service

    @endpoint(policy="placement:allocations:list", enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Answer it."""
        with self._service.holding(uuid) as (holding, snapshot):
            dates.stamp(req, resp, holding.updated_at if holding else 0.0)
            send_json(resp, views.of_consumer(holding, snapshot, req.context.version))

    @endpoint(policy="placement:allocations:update", body=schemas.REPLACE, enforce=True)
    def on_put(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Make the consumer hold what the body says."""
        self._service.replace([claim(consumer_uuid(uuid), req.context.body)])
        resp.status = falcon.HTTP_204

    @endpoint(policy="placement:allocations:delete", enforce=True)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Take everything from the consumer."""
        self._service.remove(uuid)
        resp.status = falcon.HTTP_204


class ProviderAllocations:
    """Who holds what of one provider."""

    def __init__(self, service: AllocationService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:allocations:list", enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Answer it."""
        provider, holdings = self._service.holders(provider_uuid(uuid))
        dates.stamp(req, resp, *(holding.updated_at for holding in holdings))
        send_json(resp, views.of_provider(provider, holdings, req.context.version))
