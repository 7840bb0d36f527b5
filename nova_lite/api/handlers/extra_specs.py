"""``/flavors/{flavor_id}/os-extra_specs`` and one key below it."""

import falcon

from nova_lite import errors
from nova_lite.api.policies import flavors as policies
from nova_lite.api.schemas import extra_specs as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.extra_specs import ExtraSpecService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import EMPTY_OK, endpoint
from nova_lite.web.versions import Version

#: From here on known names are checked.
_CHECKED = Version(2, 86)


class ExtraSpecs:
    """``/flavors/{flavor_id}/os-extra_specs``"""

    def __init__(self, extra_specs: ExtraSpecService) -> None:
        self._extra_specs = extra_specs

    @endpoint(policy=policies.EXTRA_SPECS_INDEX, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, flavor_id: str) -> None:
        send_json(resp, {"extra_specs": self._extra_specs.of(req.context.caller, flavor_id)})

    @endpoint(policy=policies.EXTRA_SPECS_CREATE, query=LENIENT_QUERY, body=schemas.CREATE, enforce=True)
    def on_post(self, req: falcon.Request, resp: falcon.Response, flavor_id: str) -> None:
        added = {key: str(value) for key, value in req.context.body["extra_specs"].items()}
        self._extra_specs.add(req.context.caller, flavor_id, added, is_checked=req.context.version >= _CHECKED)
        send_json(resp, {"extra_specs": added})


class ExtraSpec:
    """``/flavors/{flavor_id}/os-extra_specs/{key}``"""

    def __init__(self, extra_specs: ExtraSpecService) -> None:
        self._extra_specs = extra_specs

    @endpoint(policy=policies.EXTRA_SPECS_SHOW, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, flavor_id: str, key: str) -> None:
        send_json(resp, {key: self._extra_specs.show(req.context.caller, flavor_id, key)})

    @endpoint(policy=policies.EXTRA_SPECS_UPDATE, query=LENIENT_QUERY, body=schemas.UPDATE, enforce=True)
    def on_put(self, req: falcon.Request, resp: falcon.Response, flavor_id: str, key: str) -> None:
        if key not in req.context.body:
            raise errors.Invalid(f"body: names another extra spec than the URL, {key[:255]!r}")
        value = str(req.context.body[key])
        self._extra_specs.add(req.context.caller, flavor_id, {key: value}, is_checked=req.context.version >= _CHECKED)
        send_json(resp, {key: value})

    @endpoint(policy=policies.EXTRA_SPECS_DELETE, query=LENIENT_QUERY, enforce=True, answers=EMPTY_OK)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, flavor_id: str, key: str) -> None:
        self._extra_specs.delete(req.context.caller, flavor_id, key)
        resp.status = falcon.HTTP_200
