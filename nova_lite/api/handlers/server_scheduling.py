"""``/servers/{server_id}/scheduling``: ours alone, in every microversion alike."""

import falcon

from nova_lite.api.policies import server_scheduling as policies
from nova_lite.api.schemas import server_scheduling as schemas
from nova_lite.api.services.server_scheduling import ServerSchedulingService
from nova_lite.api.views import server_scheduling as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class ServerScheduling:
    """``/servers/{server_id}/scheduling``"""

    def __init__(self, scheduling: ServerSchedulingService) -> None:
        self._scheduling = scheduling

    @endpoint(policy=(policies.SHOW, policies.SHOW_HOSTS), query=schemas.SHOW_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, views.one(self._scheduling.show(req.context.caller, server_id)))
