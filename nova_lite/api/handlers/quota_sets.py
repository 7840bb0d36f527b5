"""``/os-quota-sets/{project_id}`` and what is below it."""

import falcon

from nova_lite.api.policies import quota_sets as policies
from nova_lite.api.schemas import quota_sets as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.limits import LimitService
from nova_lite.api.views import quota_sets as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class QuotaSet:
    """``/os-quota-sets/{project_id}``"""

    def __init__(self, limits: LimitService) -> None:
        self._limits = limits

    @endpoint(policy=policies.SHOW, query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        found = self._limits.quotas(req.context.caller, project_id, req.context.query.one("user_id"))
        send_json(resp, views.one(req, project_id, found))


class QuotaSetDetail:
    """``/os-quota-sets/{project_id}/detail``"""

    def __init__(self, limits: LimitService) -> None:
        self._limits = limits

    @endpoint(policy=policies.DETAIL, query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        found = self._limits.quotas_with_use(req.context.caller, project_id, req.context.query.one("user_id"))
        send_json(resp, views.one(req, project_id, found, with_use=True))


class QuotaSetDefaults:
    """``/os-quota-sets/{project_id}/defaults``"""

    def __init__(self, limits: LimitService) -> None:
        self._limits = limits

    @endpoint(policy=policies.DEFAULTS, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        send_json(resp, views.one(req, project_id, self._limits.defaults(req.context.caller, project_id)))
