"""``/os-quota-sets/{project_id}`` and what is below it."""

import falcon

from nova_lite.api.policies import quota_sets as policies
from nova_lite.api.schemas import quota_sets as schemas
from nova_lite.api.schemas.values import read_boolean
from nova_lite.api.services.quota_sets import QuotaSetService
from nova_lite.api.views import quota_sets as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, ANY_QUERY, endpoint


class QuotaSet:
    """``/os-quota-sets/{project_id}``"""

    def __init__(self, quota_sets: QuotaSetService) -> None:
        self._quota_sets = quota_sets

    @endpoint(policy=policies.SHOW, query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        send_json(resp, views.one(req, project_id, self._quota_sets.show(req.context.caller, project_id, _user(req))))

    @endpoint(policy=policies.UPDATE, query=schemas.QUERY, body=schemas.UPDATE)
    def on_put(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        body = req.context.body["quota_set"]
        found = self._quota_sets.update(
            req.context.caller,
            project_id,
            _user(req),
            schemas.read_limits(body),
            is_forced=read_boolean(body.get("force", False)),
        )
        send_json(resp, views.one(req, None, found))

    @endpoint(policy=policies.DELETE, query=schemas.QUERY, answers=ACCEPTED)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        self._quota_sets.remove(req.context.caller, project_id, _user(req))
        resp.status = falcon.HTTP_202


class QuotaSetDetail:
    """``/os-quota-sets/{project_id}/detail``"""

    def __init__(self, quota_sets: QuotaSetService) -> None:
        self._quota_sets = quota_sets

    @endpoint(policy=policies.DETAIL, query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        found = self._quota_sets.detail(req.context.caller, project_id, _user(req))
        send_json(resp, views.one(req, project_id, found, with_use=True))


class QuotaSetDefaults:
    """``/os-quota-sets/{project_id}/defaults``"""

    def __init__(self, quota_sets: QuotaSetService) -> None:
        self._quota_sets = quota_sets

    @endpoint(policy=policies.DEFAULTS, query=ANY_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        send_json(resp, views.one(req, project_id, self._quota_sets.defaults(req.context.caller, project_id)))


def _user(req: falcon.Request) -> str | None:
    """Return the user that a request is about: the first one it names. None is the project as a whole."""
    return next(filter(None, req.context.query.all("user_id")), None)
