"""/resource_providers and /resource_providers/{uuid}: HTTP only."""

import falcon

from nova_lite import errors
from nova_lite.placement.handlers.paths import mounted_at, provider_uuid, spelt_uuid
from nova_lite.placement.schemas import resource_providers as schemas
from nova_lite.placement.services import queries
from nova_lite.placement.services.resource_providers import ResourceProviderService, matching
from nova_lite.placement.views import dates
from nova_lite.placement.views import resource_providers as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

_BODY_SINCE = Version(1, 20)
_MOVES_SINCE = Version(1, 37)
_REQUIRED_REPEATS_SINCE = Version(1, 39)


class ResourceProviders:
    """The collection."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:list", query=schemas.LIST, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the providers that meet every condition of the query."""
        query, version = req.context.query, req.context.version
        with self._service.world() as world:
            resources, required = query.one("resources"), query.all("required")
            if version < _REQUIRED_REPEATS_SINCE:
                required = required[-1:]
            where = queries.provider_filter(
                "", required, query.all("member_of"), query.one("in_tree"), world.traits, version
            )
            found = matching(
                world.snapshot,
                where,
                {} if resources is None else queries.resources("resources", resources, world.classes),
                query.one("name") or None,
                query.one("uuid"),
            )
            shown = [views.show(provider, world.snapshot, version, mounted_at(req)) for provider in found]
        dates.stamp(req, resp, *(provider.updated_at for provider in found))
        send_json(resp, {"resource_providers": shown})

    @endpoint(policy="placement:resource_providers:create", body=schemas.CREATE, enforce=True)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add a provider."""
        body = req.context.body
        parent_uuid = _spelt(body.get("parent_provider_uuid"))
        provider, root_uuid = self._service.create(body["name"], _spelt(body.get("uuid")), parent_uuid)
        resp.location = f"{mounted_at(req)}/resource_providers/{provider.uuid}"
        if req.context.version < _BODY_SINCE:
            resp.status = falcon.HTTP_201
            return
        dates.stamp(req, resp, provider.updated_at)
        shown = views.show_placed(provider, parent_uuid, root_uuid, req.context.version, mounted_at(req))
        send_json(resp, shown)


class ResourceProvider:
    """One provider."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:show", enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Answer the provider."""
        with self._service.shown(provider_uuid(uuid)) as (provider, snapshot):
            dates.stamp(req, resp, provider.updated_at)
            send_json(resp, views.show(provider, snapshot, req.context.version, mounted_at(req)))

    @endpoint(policy="placement:resource_providers:update", body=schemas.UPDATE, enforce=True)
    def on_put(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Rename the provider, or put it below another."""
        body = req.context.body
        uuid = provider_uuid(uuid)
        may_move = req.context.version >= _MOVES_SINCE
        parent = _spelt(body.get("parent_provider_uuid"))
        if parent == uuid:
            raise errors.Invalid("parent_provider_uuid: a provider cannot be its own parent.")
        self._service.update(uuid, body["name"], parent, parent_told="parent_provider_uuid" in body, may_move=may_move)
        with self._service.shown(uuid) as (provider, snapshot):
            dates.stamp(req, resp, provider.updated_at)
            send_json(resp, views.show(provider, snapshot, req.context.version, mounted_at(req)))

    @endpoint(policy="placement:resource_providers:delete", enforce=True)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Remove the provider."""
        self._service.delete(provider_uuid(uuid))
        resp.status = falcon.HTTP_204


def _spelt(uuid: str | None) -> str | None:
    return None if uuid is None else spelt_uuid(uuid)
