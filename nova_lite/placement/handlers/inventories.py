"""/resource_providers/{uuid}/inventories and one of them: HTTP only."""

from typing import Any

import falcon

from nova_lite import errors
from nova_lite.placement.capacity import capacity
from nova_lite.placement.handlers.paths import known_name, mounted_at, provider_uuid
from nova_lite.placement.model import Inventory, Provider
from nova_lite.placement.schemas import inventories as schemas
from nova_lite.placement.services.resource_providers import ResourceProviderService
from nova_lite.placement.views import dates
from nova_lite.placement.views import inventories as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

_ALL_RESERVED_SINCE = Version(1, 26)
_REMOVED_AT_ONCE_SINCE = Version(1, 5)
_FIELDS = ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")


def read_inventory(class_name: str, body: dict[str, Any], version: Version) -> Inventory:
    """Return the inventory a checked body spells; raises Invalid when it offers less than nothing.

    Before 1.26 it may not offer nothing either.
    """
    inventory = Inventory(**{name: body[name] for name in _FIELDS if name in body})
    if inventory.reserved > inventory.total:
        raise errors.Invalid(f"{class_name}.reserved: {inventory.reserved} is more than a total of {inventory.total}")
    if version < _ALL_RESERVED_SINCE and capacity(inventory) < 1:
        raise errors.Invalid(
            f"{class_name}: reserved {inventory.reserved} and allocation_ratio {inventory.allocation_ratio} "
            f"leave nothing of a total of {inventory.total}, which is understood from {_ALL_RESERVED_SINCE}"
        )
    return inventory


class Inventories:
    """All inventories of a provider."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:inventories:list", enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Answer them."""
        with self._service.shown(provider_uuid(uuid)) as (provider, _):
            _answer_all(req, resp, provider, *(one.updated_at for one in provider.inventories.values()))

    @endpoint(policy="placement:resource_providers:inventories:update", body=schemas.REPLACE_ALL, enforce=True)
    def on_put(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Replace them all."""
        body, version = req.context.body, req.context.version
        inventories = {name: read_inventory(name, entry, version) for name, entry in body["inventories"].items()}
        provider = self._service.set_inventories(provider_uuid(uuid), inventories, body["resource_provider_generation"])
        _answer_all(req, resp, provider, provider.updated_at)

    @endpoint(policy="placement:resource_providers:inventories:create", body=schemas.CREATE, enforce=True)
    def on_post(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Add one."""
        body = req.context.body
        name = body["resource_class"]
        uuid = provider_uuid(uuid)
        provider = self._service.set_inventory(
            uuid,
            name,
            read_inventory(name, body, req.context.version),
            # One may be sent, and is not looked at: clients rely on that.
            None,
            new=True,
        )
        resp.location = f"{mounted_at(req)}/resource_providers/{uuid}/inventories/{name}"
        dates.stamp(req, resp, provider.updated_at)
        send_json(resp, views.show_one(provider, name), 201)

    @endpoint(policy="placement:resource_providers:inventories:delete", enforce=True)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Remove them all."""
        if req.context.version < _REMOVED_AT_ONCE_SINCE:
            raise falcon.HTTPMethodNotAllowed(["GET", "POST", "PUT"])
        self._service.set_inventories(provider_uuid(uuid), {}, None)
        resp.status = falcon.HTTP_204


class OneInventory:
    """The inventory of one class."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:inventories:show", enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str, resource_class: str) -> None:
        """Answer it."""
        with self._service.shown(provider_uuid(uuid)) as (provider, _):
            if resource_class not in provider.inventories:
                raise errors.NotFound(
                    f"No inventory of class {resource_class[:64]} for resource provider {provider.uuid}"
                )
            dates.stamp(req, resp, provider.inventories[resource_class].updated_at)
            send_json(resp, views.show_one(provider, resource_class))

    @endpoint(policy="placement:resource_providers:inventories:update", body=schemas.REPLACE_ONE, enforce=True)
    def on_put(self, req: falcon.Request, resp: falcon.Response, uuid: str, resource_class: str) -> None:
        """Replace it."""
        body = req.context.body
        provider = self._service.set_inventory(
            provider_uuid(uuid),
            known_name("resource class", resource_class),
            read_inventory(resource_class, body, req.context.version),
            body["resource_provider_generation"],
            new=False,
        )
        dates.stamp(req, resp, provider.updated_at)
        send_json(resp, views.show_one(provider, resource_class))

    @endpoint(policy="placement:resource_providers:inventories:delete", enforce=True)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, uuid: str, resource_class: str) -> None:
        """Remove it."""
        self._service.remove_inventory(provider_uuid(uuid), known_name("resource class", resource_class))
        resp.status = falcon.HTTP_204


def _answer_all(req: falcon.Request, resp: falcon.Response, provider: Provider, *updated_at: float) -> None:
    if provider.inventories:
        dates.stamp(req, resp, *updated_at)
    else:
        dates.stamp_undated(req, resp)
    send_json(resp, views.show_all(provider))
