"""/resource_classes and /resource_classes/{name}: HTTP only."""

import falcon

from nova_lite import errors
from nova_lite.placement.handlers.paths import custom_name, known_name, mounted_at
from nova_lite.placement.schemas import resource_classes as schemas
from nova_lite.placement.services.names import NameService
from nova_lite.placement.services.resource_providers import ResourceProviderService
from nova_lite.placement.views import dates
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

_ENSURES_SINCE = Version(1, 7)


class ResourceClasses:
    """Every class there is."""

    def __init__(self, service: ResourceProviderService, names: NameService) -> None:
        self._service = service
        self._names = names

    @endpoint(policy="placement:resource_classes:list", enforce=True, since="1.2")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer them all."""
        with self._service.world() as world:
            classes = dict(world.classes)
        dates.stamp(req, resp, *(updated_at for _, updated_at in classes.values()))
        send_json(resp, {"resource_classes": [_show(req, name) for name in classes]})

    @endpoint(policy="placement:resource_classes:create", body=schemas.CREATE, enforce=True, since="1.2")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add a custom class."""
        name = req.context.body["name"]
        self._names.add(name)
        resp.location = f"{mounted_at(req)}/resource_classes/{name}"
        resp.status = falcon.HTTP_201


class ResourceClass:
    """One class."""

    def __init__(self, service: ResourceProviderService, names: NameService) -> None:
        self._service = service
        self._names = names

    @endpoint(policy="placement:resource_classes:show", enforce=True, since="1.2")
    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Answer it."""
        with self._service.world() as world:
            if name not in world.classes:
                raise errors.NotFound(f"No such resource class {name[:64]}.")
            dates.stamp(req, resp, world.classes[name][1])
        send_json(resp, _show(req, name))

    @endpoint(policy="placement:resource_classes:update", enforce=True, since="1.2")
    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Make sure it is there; before 1.7, give it another name."""
        if req.context.version < _ENSURES_SINCE:
            self._rename(req, resp, name)
            return
        added = self._names.ensure(custom_name("resource class", name))
        resp.location = f"{mounted_at(req)}/resource_classes/{name}"
        resp.status = falcon.HTTP_201 if added else falcon.HTTP_204

    @endpoint(policy="placement:resource_classes:update", body=schemas.RENAME, enforce=True, since="1.2", until="1.6")
    def _rename(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        new_name = req.context.body["name"]
        self._names.rename(known_name("resource class", name), new_name)
        send_json(resp, _show(req, new_name))

    @endpoint(policy="placement:resource_classes:delete", enforce=True, since="1.2")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Remove it."""
        self._names.remove(known_name("resource class", name))
        resp.status = falcon.HTTP_204


def _show(req: falcon.Request, name: str) -> dict[str, object]:
    return {"name": name, "links": [{"rel": "self", "href": f"{mounted_at(req)}/resource_classes/{name}"}]}
