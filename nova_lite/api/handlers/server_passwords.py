"""``/servers/{server_id}/os-server-password``"""

import falcon

from nova_lite.api.policies import server_passwords as policies
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.server_passwords import ServerPasswordService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import NO_CONTENT, endpoint


class ServerPassword:
    """``/servers/{server_id}/os-server-password``"""

    def __init__(self, passwords: ServerPasswordService) -> None:
        self._passwords = passwords

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"password": self._passwords.show(req.context.caller, server_id)})

    @endpoint(policy=policies.CLEAR, query=LENIENT_QUERY, answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        self._passwords.clear(req.context.caller, server_id)
        resp.status = falcon.HTTP_204
