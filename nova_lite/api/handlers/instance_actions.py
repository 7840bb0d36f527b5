"""``/servers/{server_id}/os-instance-actions`` and one request's action below it."""

import falcon

from nova_lite import errors
from nova_lite.api.policies import instance_actions as policies
from nova_lite.api.schemas import instance_actions as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.instance_actions import ActionQuery, InstanceActionService
from nova_lite.api.services.server_filters import moment
from nova_lite.api.views import instance_actions as views
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

#: From here on the actions of deleted servers are told.
_WITH_DELETED = Version(2, 21)
_PAGED = Version(2, 58)
_WITH_DETAILS = Version(2, 84)


class InstanceActions:
    """``/servers/{server_id}/os-instance-actions``"""

    def __init__(self, actions: InstanceActionService, *, max_limit: int) -> None:
        self._actions = actions
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        found, has_more = self._actions.page(
            req.context.caller,
            server_id,
            self._wanted(req),
            with_deleted=req.context.version >= _WITH_DELETED,
        )
        send_json(resp, views.many(req, found, has_more=has_more))

    def _wanted(self, req: falcon.Request) -> ActionQuery:
        query = req.context.query
        if req.context.version < _PAGED:
            return ActionQuery()
        page = paging.page(query, self._max_limit)
        since, before = (
            None if query.one(name) is None else moment(name, query.one(name))
            for name in ("changes-since", "changes-before")
        )
        if since is not None and before is not None and since > before:
            raise errors.Invalid("changes-since: later than changes-before")
        return ActionQuery(page.limit, page.marker, since, before)


class InstanceActionItem:
    """``/servers/{server_id}/os-instance-actions/{request_id}``"""

    def __init__(self, actions: InstanceActionService) -> None:
        self._actions = actions

    @endpoint(policy=(policies.SHOW, policies.EVENTS, policies.EVENT_DETAILS), query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, request_id: str) -> None:
        with_deleted = req.context.version >= _WITH_DELETED
        seen = self._actions.show(
            req.context.caller,
            server_id,
            request_id,
            with_deleted=with_deleted,
            tells_progress=req.context.version >= _WITH_DETAILS,
        )
        send_json(resp, views.one(req, seen))
