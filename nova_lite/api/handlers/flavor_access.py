"""``/flavors/{flavor_id}/os-flavor-access``, and ``/flavors/{flavor_id}/action``, which changes it."""

import falcon

from nova_lite.api.policies import flavors as policies
from nova_lite.api.schemas import flavor_access as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.flavor_access import FlavorAccessService
from nova_lite.api.views import flavor_access as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

#: From here on a public flavor refuses what would have no effect.
_REFUSES_PUBLIC = Version(2, 7)


class FlavorAccess:
    """``/flavors/{flavor_id}/os-flavor-access``"""

    def __init__(self, access: FlavorAccessService) -> None:
        self._access = access

    @endpoint(policy=policies.ACCESS_INDEX, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, flavor_id: str) -> None:
        send_json(resp, views.many(flavor_id, self._access.projects(flavor_id)))


class FlavorActions:
    """``/flavors/{flavor_id}/action``"""

    def __init__(self, access: FlavorAccessService) -> None:
        self._access = access

    @endpoint(policy=(policies.ACCESS_ADD, policies.ACCESS_REMOVE), query=LENIENT_QUERY, body=schemas.ACTION)
    def on_post(self, req: falcon.Request, resp: falcon.Response, flavor_id: str) -> None:
        caller = req.context.caller
        ((action, arguments),) = req.context.body.items()
        if action == "addTenantAccess":
            must_be_private = req.context.version >= _REFUSES_PUBLIC
            projects = self._access.allow(caller, flavor_id, arguments["tenant"], must_be_private=must_be_private)
        else:
            projects = self._access.disallow(caller, flavor_id, arguments["tenant"])
        send_json(resp, views.many(flavor_id, projects))
