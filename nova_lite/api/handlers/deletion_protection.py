"""``/servers/{server_id}/deletion-protection``: ours alone, in every microversion alike."""

import falcon

from nova_lite.api.policies import deletion_protection as rules
from nova_lite.api.schemas import deletion_protection as schemas
from nova_lite.api.services.deletion_protection import DeletionProtectionService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class DeletionProtection:
    """``/servers/{server_id}/deletion-protection``"""

    def __init__(self, service: DeletionProtectionService) -> None:
        self._service = service

    @endpoint(policy=rules.SHOW, query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"deletion_protection": self._service.show(req.context.caller, server_id)})

    @endpoint(policy=rules.SET, query=schemas.QUERY, body=schemas.SET)
    def on_put(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        is_protected: bool = req.context.body["deletion_protection"]
        self._service.set(req.context.caller, server_id, is_protected=is_protected)
        send_json(resp, {"deletion_protection": is_protected})
