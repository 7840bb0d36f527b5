"""``/servers/{server_id}/shares``, from 2.97: there is no service of shares, so there are none."""

import falcon

from nova_lite.api.policies import server_shares as policies
from nova_lite.api.schemas import server_shares as schemas
from nova_lite.api.schemas.values import read_uuid
from nova_lite.api.services.server_shares import ServerShareService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, NO_QUERY, endpoint


class ServerShares:
    """``/servers/{server_id}/shares``"""

    def __init__(self, shares: ServerShareService) -> None:
        self._shares = shares

    @endpoint(policy=policies.LIST, query=NO_QUERY, since="2.97")
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"shares": self._shares.all(req.context.caller, server_id)})

    @endpoint(policy=policies.CREATE, query=ANY_QUERY, body=schemas.CREATE, since="2.97")
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        read_uuid(req.context.body["share"]["share_id"], "share_id")
        self._shares.attach(req.context.caller, server_id)


class ServerShare:
    """``/servers/{server_id}/shares/{share_id}``"""

    def __init__(self, shares: ServerShareService) -> None:
        self._shares = shares

    @endpoint(policy=policies.SHOW, query=NO_QUERY, since="2.97")
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, share_id: str) -> None:
        self._shares.show(req.context.caller, server_id, share_id)

    @endpoint(policy=policies.DELETE, query=ANY_QUERY, since="2.97")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str, share_id: str) -> None:
        self._shares.detach(req.context.caller, server_id, share_id)
