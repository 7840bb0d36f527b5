"""``/servers/{server_id}/topology``"""

import falcon

from nova_lite.api.policies import server_topology as policies
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.server_topology import ServerTopologyService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class ServerTopology:
    """``/servers/{server_id}/topology``"""

    def __init__(self, topologies: ServerTopologyService) -> None:
        self._topologies = topologies

    @endpoint(policy=policies.INDEX, query=LENIENT_QUERY, since="2.78")
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        found = self._topologies.show(req.context.caller, server_id)
        send_json(resp, {"nodes": found.nodes, "pagesize_kb": found.page_size_kib})
