"""``/os-server-groups`` and ``/os-server-groups/{group_id}``."""

from collections.abc import Mapping
from typing import Any

import falcon

from nova_lite.api.policies import server_groups as policies
from nova_lite.api.schemas import server_groups as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY, MAX_INT, read_whole_number
from nova_lite.api.services.server_groups import ServerGroupService
from nova_lite.api.views import server_groups as views
from nova_lite.errors import Invalid
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, NO_CONTENT, endpoint
from nova_lite.web.validation import Query

_MAX_PER_HOST = "max_server_per_host"


class ServerGroups:
    """``/os-server-groups``"""

    def __init__(self, groups: ServerGroupService, *, max_limit: int) -> None:
        self._groups = groups
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = req.context.query
        found = self._groups.page(
            req.context.caller,
            of_all_projects="all_projects" in query,
            offset=_offset(query),
            # A limit of 0 is none.
            limit=paging.page(query, self._max_limit).limit or self._max_limit,
        )
        send_json(resp, views.many(req, found))

    @endpoint(policy=policies.CREATE, query=ANY_QUERY, body=schemas.CREATE)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = req.context.body["server_group"]
        policy = body["policy"] if "policy" in body else body["policies"][0]
        group = self._groups.create(req.context.caller, body["name"], policy, _rules(body, policy))
        send_json(resp, views.one(req, group))


class ServerGroupItem:
    """``/os-server-groups/{group_id}``"""

    def __init__(self, groups: ServerGroupService) -> None:
        self._groups = groups

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, group_id: str) -> None:
        send_json(resp, views.one(req, self._groups.show(req.context.caller, group_id)))

    @endpoint(policy=policies.DELETE, query=ANY_QUERY, answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, group_id: str) -> None:
        self._groups.remove(req.context.caller, group_id)
        resp.status = falcon.HTTP_204


def _rules(body: Mapping[str, Any], policy: str) -> dict[str, int]:
    rules = body.get("rules") or {}
    if rules and policy != "anti-affinity":
        raise Invalid("Only anti-affinity policy supports rules.")
    return {_MAX_PER_HOST: read_whole_number(rules, _MAX_PER_HOST, 1)} if rules else {}


def _offset(query: Query) -> int:
    """Return how many groups to leave out; no cloud has as many as the greatest number a database takes."""
    text = query.one("offset") or "0"
    return min(int(text), MAX_INT) if len(text) <= 18 else MAX_INT
