"""/usages and /resource_providers/{uuid}/usages: HTTP only."""

import falcon

from nova_lite.placement.handlers.paths import provider_uuid
from nova_lite.placement.schemas import usages as schemas
from nova_lite.placement.services.allocations import AllocationService
from nova_lite.placement.services.resource_providers import ResourceProviderService
from nova_lite.placement.views import dates
from nova_lite.placement.views import usages as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

_TYPES_SINCE = Version(1, 38)


class ProviderUsages:
    """What is used of one provider."""

    def __init__(self, service: ResourceProviderService) -> None:
        self._service = service

    @endpoint(policy="placement:resource_providers:usages", enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, uuid: str) -> None:
        """Answer it, class by class."""
        with self._service.shown(provider_uuid(uuid)) as (provider, _):
            dates.stamp(req, resp)
            send_json(resp, views.of_provider(provider))


class TotalUsages:
    """What a project uses."""

    def __init__(self, service: AllocationService) -> None:
        self._service = service

    @endpoint(policy="placement:usages", query=schemas.TOTALS, since="1.9")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer it, class by class and, from 1.38, type by type."""
        query = req.context.query
        project_id = query.one("project_id")
        req.context.caller.require("placement:usages", project_id=project_id)
        rows = self._service.usages(project_id, query.one("user_id"))
        dates.stamp(req, resp)
        if req.context.version < _TYPES_SINCE:
            send_json(resp, {"usages": views.by_class(rows)})
        else:
            send_json(resp, {"usages": views.by_type(rows, query.one("consumer_type"))})
