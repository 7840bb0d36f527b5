"""``/servers/{server_id}/diagnostics``"""

import falcon

from nova_lite.api.policies import server_diagnostics as policies
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.server_diagnostics import ServerDiagnosticsService
from nova_lite.api.views import server_diagnostics as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class ServerDiagnostics:
    """``/servers/{server_id}/diagnostics``"""

    def __init__(self, diagnostics: ServerDiagnosticsService) -> None:
        self._diagnostics = diagnostics

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, views.one(self._diagnostics.show(req.context.caller, server_id), req.context.version))
