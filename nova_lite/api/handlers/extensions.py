"""``/extensions`` and ``/extensions/{alias}``."""

import falcon

from nova_lite import errors
from nova_lite.api.policies import extensions as policies
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.views import extensions as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class Extensions:
    """``/extensions``"""

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, {"extensions": views.many()})


class Extension:
    """``/extensions/{alias}``"""

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, alias: str) -> None:
        if alias not in views.EXTENSIONS:
            raise errors.NotFound(f"There is no extension {alias[:64]!r}")
        send_json(resp, {"extension": views.one(alias)})
