"""/resource_providers/{uuid}/aggregates: HTTP only."""

import falcon

from nova_lite.placement.handlers.paths import provider_uuid, spelt_uuid
from nova_lite.placement.model import Provider
from nova_lite.placement.schemas import aggregates as schemas
from nova_lite.placement.services.resource_providers import ResourceProviderService
from nova_lite.placement.views import dates
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

_GENERATION_SINCE = Version(1, 19)


class Aggregates:
    """The aggregates a provider is in."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:aggregates:list", enforce=True, since="1.1")
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Answer them."""
        with self._service.shown(provider_uuid(uuid)) as (provider, _):
            _answer(req, resp, provider)

    @endpoint(policy="placement:resource_providers:aggregates:update", body=schemas.REPLACE, enforce=True, since="1.1")
    def on_put(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Replace them."""
        body = req.context.body
        members, generation = body, None
        if req.context.version >= _GENERATION_SINCE:
            members, generation = body["aggregates"], body["resource_provider_generation"]
        members = [spelt_uuid(member) for member in members]
        _answer(req, resp, self._service.set_aggregates(provider_uuid(uuid), members, generation))


def _answer(req: falcon.Request, resp: falcon.Response, provider: Provider) -> None:
    shown: dict[str, object] = {"aggregates": sorted(provider.aggregates)}
    if req.context.version >= _GENERATION_SINCE:
        shown["resource_provider_generation"] = provider.generation
    # Nobody keeps when a provider joined or left one.
    dates.stamp(req, resp)
    send_json(resp, shown)
