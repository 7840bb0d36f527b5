"""``/os-server-external-events``"""

import falcon

from nova_lite.api.policies import server_external_events as policies
from nova_lite.api.schemas import server_external_events as schemas
from nova_lite.api.schemas.values import read_uuid
from nova_lite.api.services.server_external_events import Event, ServerExternalEventService
from nova_lite.api.views import server_external_events as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, Answers, endpoint


class ServerExternalEvents:
    """``/os-server-external-events``"""

    def __init__(self, events: ServerExternalEventService) -> None:
        self._events = events

    @endpoint(policy=policies.CREATE, query=ANY_QUERY, body=schemas.CREATE, enforce=True, answers=Answers((200, 207)))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        told = req.context.body["events"]
        events = [Event(each["name"], read_uuid(each["server_uuid"], "server_uuid"), each.get("tag")) for each in told]
        codes = self._events.take(req.context.caller, events)
        send_json(resp, views.many(told, codes), views.status(codes))
