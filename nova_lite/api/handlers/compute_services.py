"""``/os-services`` and ``/os-services/{service_id}``."""

from collections.abc import Mapping
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.api.policies import compute_services as policies
from nova_lite.api.schemas import compute_services as schemas
from nova_lite.api.schemas.values import read_boolean, read_uuid
from nova_lite.api.services.compute_services import ComputeServiceService, ServiceChange, ServiceRef
from nova_lite.api.views import compute_services as views
from nova_lite.model.caller import Caller
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, NO_CONTENT, endpoint
from nova_lite.web.versions import Version

_BY_UUID = Version(2, 53)
_FORCED_DOWN = Version(2, 11)
#: From here on a list tells of hosts in cells that do not answer.
_TELLS_SILENT = Version(2, 69)


class ComputeServices:
    """``/os-services``"""

    def __init__(self, services: ComputeServiceService) -> None:
        self._services = services

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = req.context.query
        found, silent = self._services.all(host=query.one("host"), binary=query.one("binary"))
        send_json(resp, views.many(req, found, silent if req.context.version >= _TELLS_SILENT else ()))


class ComputeService:
    """``/os-services/{service_id}``; before 2.53 PUT has the name of a change where the id is now."""

    def __init__(self, services: ComputeServiceService) -> None:
        self._services = services

    @endpoint(policy=policies.UPDATE, query=ANY_QUERY, body=schemas.UPDATE, enforce=True)
    def on_put(self, req: falcon.Request, resp: falcon.Response, service_id: str) -> None:
        if req.context.version < _BY_UUID:
            send_json(resp, self._change_by_host(req.context.caller, req.context.version, service_id, req.context.body))
            return
        ref = ServiceRef(uuid=read_uuid(service_id, "service id"))
        placed = self._services.change(req.context.caller, ref, _change(req.context.body))
        send_json(resp, views.one(req, placed))

    @endpoint(policy=policies.DELETE, query=ANY_QUERY, enforce=True, answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, service_id: str) -> None:
        if req.context.version >= _BY_UUID:
            ref = ServiceRef(uuid=read_uuid(service_id, "service id"))
        elif service_id.isascii() and service_id.isdigit() and len(service_id) < 10:
            ref = ServiceRef(number=int(service_id))
        else:
            raise errors.Invalid(f"service id: {service_id[:64]!r} is not a number")
        self._services.delete(req.context.caller, ref)
        resp.status = falcon.HTTP_204

    def _change_by_host(
        self, caller: Caller, version: Version, action: str, body: Mapping[str, Any]
    ) -> dict[str, object]:
        """Do what the URL's last part names to the service the body names."""
        ref = ServiceRef(host=body["host"], binary=body["binary"])
        match action:
            case "enable":
                return views.changed(self._services.change(caller, ref, ServiceChange(is_disabled=False)))
            case "disable":
                return views.changed(self._services.change(caller, ref, ServiceChange(is_disabled=True)))
            case "disable-log-reason":
                if "disabled_reason" not in body:
                    raise errors.Invalid("disabled_reason: required")
                change = ServiceChange(is_disabled=True, disabled_reason=body["disabled_reason"])
                return views.changed(self._services.change(caller, ref, change), with_reason=True)
            case "force-down" if version >= _FORCED_DOWN:
                if "forced_down" not in body:
                    raise errors.Invalid("forced_down: required")
                change = ServiceChange(is_forced_down=read_boolean(body["forced_down"]))
                return views.changed(self._services.change(caller, ref, change), with_forced_down=True)
            case _:
                raise errors.NotFound(f"There is no change named {action[:64]!r}.")


def _change(body: Mapping[str, Any]) -> ServiceChange:
    """Return the change a valid body asks for; raises Invalid when it asks for none or for what does not fit."""
    status, reason = body.get("status"), body.get("disabled_reason")
    if status is None and "forced_down" not in body:
        raise errors.Invalid("body: no change asked for; give status or forced_down")
    if reason is not None and status != "disabled":
        raise errors.Invalid("disabled_reason: only with status disabled")
    return ServiceChange(
        is_disabled=None if status is None else status == "disabled",
        disabled_reason=reason,
        is_forced_down=read_boolean(body["forced_down"]) if "forced_down" in body else None,
    )
