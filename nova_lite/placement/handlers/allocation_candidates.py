"""/allocation_candidates: HTTP only."""

import falcon

from nova_lite.placement.candidates import candidates
from nova_lite.placement.reader import Reader
from nova_lite.placement.schemas import allocation_candidates as schemas
from nova_lite.placement.services import requests
from nova_lite.placement.views import allocation_candidates as views
from nova_lite.placement.views import dates
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class AllocationCandidates:
    """Where a request could go."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @endpoint(policy="placement:allocation_candidates:list", query=schemas.LIST, enforce=True, since="1.10")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the candidates."""
        version = req.context.version
        with self._reader.current() as world:
            request = requests.read(req.context.query, version, world.classes, world.traits)
            found = list(candidates(request, world.snapshot))
            asked = {name for group in request.groups for name in group.resources}
            shown = views.show(found, asked, world.snapshot, version)
        dates.stamp(req, resp)
        send_json(resp, shown)
