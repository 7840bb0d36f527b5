"""/reshaper: HTTP only."""

import falcon

from nova_lite import errors
from nova_lite.placement.handlers.inventories import read_inventory
from nova_lite.placement.schemas import reshaper as schemas
from nova_lite.placement.services.allocations import AllocationService, claim
from nova_lite.web.endpoint import endpoint

_NOT_FOUND = "placement.resource_provider.not_found"


class Reshaper:
    """Inventories and allocations, moved at once."""

    def __init__(self, service: AllocationService) -> None:
        self._service = service

    @endpoint(policy="placement:reshaper:reshape", body=schemas.RESHAPE, enforce=True, since="1.30")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Move them."""
        body, version = req.context.body, req.context.version
        inventories = {
            uuid.lower(): (
                entry["resource_provider_generation"],
                {name: read_inventory(name, fields, version) for name, fields in entry["inventories"].items()},
            )
            for uuid, entry in body["inventories"].items()
        }
        try:
            self._service.reshape(inventories, [claim(uuid, entry) for uuid, entry in body["allocations"].items()])
        except errors.NotFound as exc:
            # The URL is there; what is not is named in the body.
            raise errors.Invalid(f"inventories: {exc.message}", code=_NOT_FOUND) from exc
        resp.status = falcon.HTTP_204
