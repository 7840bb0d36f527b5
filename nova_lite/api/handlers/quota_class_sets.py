"""``/os-quota-class-sets/{class_name}``"""

import falcon

from nova_lite.api.policies import quota_class_sets as policies
from nova_lite.api.schemas import quota_class_sets as schemas
from nova_lite.api.schemas.quota_sets import read_limits
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.quota_class_sets import QuotaClassSetService
from nova_lite.api.views import quota_class_sets as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, endpoint


class QuotaClassSet:
    """``/os-quota-class-sets/{class_name}``"""

    def __init__(self, classes: QuotaClassSetService) -> None:
        self._classes = classes

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, class_name: str) -> None:
        send_json(resp, views.one(req, class_name, self._classes.show(req.context.caller, class_name)))

    @endpoint(policy=policies.UPDATE, query=ANY_QUERY, body=schemas.UPDATE)
    def on_put(self, req: falcon.Request, resp: falcon.Response, class_name: str) -> None:
        wanted = read_limits(req.context.body["quota_class_set"])
        send_json(resp, views.one(req, None, self._classes.update(req.context.caller, class_name, wanted)))
