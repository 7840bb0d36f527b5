"""/reshaper: HTTP only."""

import falcon

from nova_lite.placement.handlers.inventories import read_inventory
from nova_lite.placement.schemas import reshaper as schemas
from nova_lite.placement.services.allocations import AllocationService, claim
from nova_lite.web.endpoint import endpoint


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
        self._service.reshape(inventories, [claim(uuid, entry) for uuid, entry in body["allocations"].items()])
        resp.status = falcon.HTTP_204
