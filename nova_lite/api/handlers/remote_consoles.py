"""``/servers/{server_id}/remote-consoles``, and the actions that did the same before 2.6."""

from collections.abc import Mapping

import falcon

from nova_lite.api.policies import remote_consoles as policies
from nova_lite.api.schemas import remote_consoles as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.remote_consoles import RemoteConsoleService
from nova_lite.api.views import remote_consoles as views
from nova_lite.model.caller import Caller
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class RemoteConsoles:
    """``/servers/{server_id}/remote-consoles``"""

    def __init__(self, consoles: RemoteConsoleService) -> None:
        self._consoles = consoles

    @endpoint(policy=policies.CREATE, query=LENIENT_QUERY, body=schemas.CREATE, since="2.6")
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        asked = req.context.body["remote_console"]
        console, token = self._consoles.create(req.context.caller, server_id, asked["protocol"], asked["type"])
        send_json(resp, views.one(console, token, asked["protocol"]))


def open_console(
    consoles: RemoteConsoleService, caller: Caller, server_id: str, protocol: str, body: Mapping[str, str]
) -> dict[str, object]:
    """Return what an action answers that opens a console."""
    console, token = consoles.create(caller, server_id, protocol, body["type"])
    return views.old(console, token)
