"""``/servers/{id}/tags`` and ``/servers/{id}/tags/{tag}``."""

from urllib.parse import quote

import falcon

from nova_lite.api import urls
from nova_lite.api.policies import server_tags as rules
from nova_lite.api.schemas import server_tags as schemas
from nova_lite.api.schemas.servers import MAX_TAGS
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.server_tags import ServerTagService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, NO_CONTENT, Answers, endpoint


class ServerTags:
    """``/servers/{id}/tags``"""

    def __init__(self, tags: ServerTagService) -> None:
        self._tags = tags

    @endpoint(policy=rules.INDEX, query=ANY_QUERY, since="2.26")
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"tags": self._tags.all(req.context.caller, server_id)})

    @endpoint(policy=rules.UPDATE_ALL, query=LENIENT_QUERY, body=schemas.ALL, since="2.26")
    def on_put(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"tags": self._tags.replace(req.context.caller, server_id, req.context.body["tags"])})

    @endpoint(policy=rules.DELETE_ALL, query=LENIENT_QUERY, since="2.26", answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        self._tags.clear(req.context.caller, server_id)
        resp.status = falcon.HTTP_204


class ServerTag:
    """``/servers/{id}/tags/{tag}``"""

    def __init__(self, tags: ServerTagService) -> None:
        self._tags = tags

    @endpoint(policy=rules.SHOW, query=ANY_QUERY, since="2.26", answers=NO_CONTENT)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, tag: str) -> None:
        self._tags.find(req.context.caller, server_id, tag)
        resp.status = falcon.HTTP_204

    @endpoint(
        policy=rules.UPDATE, query=LENIENT_QUERY, since="2.26", answers=Answers((201, 204), empty=frozenset({201, 204}))
    )
    def on_put(self, req: falcon.Request, resp: falcon.Response, server_id: str, tag: str) -> None:
        schemas.ONE.check(tag, req.context.version, "tag")
        if self._tags.add(req.context.caller, server_id, tag, limit=MAX_TAGS):
            resp.status = falcon.HTTP_201
            resp.location = f"{urls.api_url(req)}/servers/{server_id}/tags/{quote(tag, safe='')}"
        else:
            resp.status = falcon.HTTP_204

    @endpoint(policy=rules.DELETE, query=LENIENT_QUERY, since="2.26", answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str, tag: str) -> None:
        self._tags.remove(req.context.caller, server_id, tag)
        resp.status = falcon.HTTP_204
