"""/traits, /traits/{name} and a provider's traits: HTTP only."""

from collections.abc import Mapping

import falcon

from nova_lite import errors
from nova_lite.placement.handlers.paths import custom_name, known_name, mounted_at, provider_uuid
from nova_lite.placement.model import Provider
from nova_lite.placement.schemas import traits as schemas
from nova_lite.placement.services.names import NameService
from nova_lite.placement.services.resource_providers import ResourceProviderService, find
from nova_lite.placement.views import dates
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.validation import Query


class Traits:
    """Every trait there is."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:traits:list", query=schemas.LIST, enforce=True, since="1.6")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the traits that meet the query."""
        with self._service.world() as world:
            carried = world.snapshot.traits_in_use()
            chosen = _chosen(req.context.query, world.traits, carried)
        dates.stamp(req, resp, *(world.traits[name][1] for name in chosen))
        send_json(resp, {"traits": chosen})


def _chosen(query: Query, traits: Mapping[str, object], carried: frozenset[str]) -> list[str]:
    chosen = list(traits)
    name = query.one("name")
    if name is not None:
        kind, colon, rest = name.partition(":")
        if kind == "startswith" and colon:
            chosen = [trait for trait in chosen if trait.startswith(rest)]
        elif kind == "in" and colon:
            named = set(rest.split(","))
            chosen = [trait for trait in chosen if trait in named]
        else:
            raise errors.Invalid(f"name: {name[:80]!r} is neither in:A,B nor startswith:A")
    associated = query.one("associated")
    if associated is not None:
        if associated.lower() not in ("true", "false"):
            raise errors.Invalid(f"associated: {associated[:80]!r} is neither true nor false")
        wanted = associated.lower() == "true"
        chosen = [trait for trait in chosen if (trait in carried) == wanted]
    return chosen


class Trait:
    """One trait."""

    def __init__(self, service: ResourceProviderService, names: NameService) -> None:
        self._service = service
        self._names = names

    @endpoint(policy="placement:traits:show", enforce=True, since="1.6")
    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Answer whether it is there."""
        with self._service.world() as world:
            if name not in world.traits:
                raise errors.NotFound(f"No such trait(s): {name[:64]}.")
            dates.stamp(req, resp, world.traits[name][1])
        resp.status = falcon.HTTP_204

    @endpoint(policy="placement:traits:update", enforce=True, since="1.6")
    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Make sure it is there."""
        added = self._names.ensure(custom_name("trait", name))
        resp.location = f"{mounted_at(req)}/traits/{name}"
        with self._service.world() as world:
            dates.stamp(req, resp, *(world.traits[name][1:] if name in world.traits else ()))
        resp.status = falcon.HTTP_201 if added else falcon.HTTP_204

    @endpoint(policy="placement:traits:delete", enforce=True, since="1.6")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Remove it."""
        self._names.remove(known_name("trait", name))
        resp.status = falcon.HTTP_204


class ProviderTraits:
    """The traits of one provider."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:traits:list", enforce=True, since="1.6")
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Answer them."""
        with self._service.world() as world:
            provider = find(world.snapshot, provider_uuid(uuid))
            dates.stamp(req, resp, *(world.traits[trait][1] for trait in provider.traits))
        _answer(resp, provider)

    @endpoint(policy="placement:resource_providers:traits:update", body=schemas.REPLACE, enforce=True, since="1.6")
    def on_put(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Replace them."""
        body = req.context.body
        provider = self._service.set_traits(provider_uuid(uuid), body["traits"], body["resource_provider_generation"])
        dates.stamp(req, resp, provider.updated_at)
        _answer(resp, provider)

    @endpoint(policy="placement:resource_providers:traits:delete", enforce=True, since="1.6")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Remove them all."""
        self._service.set_traits(provider_uuid(uuid), (), None)
        resp.status = falcon.HTTP_204


def _answer(resp: falcon.Response, provider: Provider) -> None:
    send_json(resp, {"traits": sorted(provider.traits), "resource_provider_generation": provider.generation})
