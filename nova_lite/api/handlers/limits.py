"""``/limits``"""

import falcon

from nova_lite.api.policies import limits as policies
from nova_lite.api.schemas import limits as schemas
from nova_lite.api.services.limits import LimitService
from nova_lite.api.views import limits as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class Limits:
    """``/limits``"""

    def __init__(self, limits: LimitService) -> None:
        self._limits = limits

    @endpoint(policy=(policies.SHOW, policies.SHOW_OTHER), query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = self._limits.limits(req.context.caller, req.context.query.one("tenant_id"))
        send_json(resp, views.one(req, found))
