"""``/servers/{server_id}/operations`` and one operation below it: ours alone, in every microversion alike."""

import falcon

from nova_lite.api.policies import server_operations as policies
from nova_lite.api.schemas import server_operations as schemas
from nova_lite.api.services.server_operations import ServerOperationService
from nova_lite.api.views import server_operations as views
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class ServerOperations:
    """``/servers/{server_id}/operations``"""

    def __init__(self, operations: ServerOperationService, *, max_limit: int) -> None:
        self._operations = operations
        self._max_limit = max_limit

    @endpoint(policy=(policies.INDEX, policies.SHOW_HOSTS), query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        page = paging.page(req.context.query, self._max_limit)
        seen = self._operations.page(req.context.caller, server_id, limit=page.limit, marker=page.marker)
        send_json(resp, views.many(req, seen))


class ServerOperation:
    """``/servers/{server_id}/operations/{operation_id}``"""

    def __init__(self, operations: ServerOperationService) -> None:
        self._operations = operations

    @endpoint(policy=(policies.SHOW, policies.SHOW_HOSTS), query=schemas.SHOW_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, operation_id: str) -> None:
        send_json(resp, views.one(self._operations.show(req.context.caller, server_id, operation_id)))
