"""``/os-keypairs`` and ``/os-keypairs/{name}``."""

import falcon

from nova_lite.api.policies import keypairs as policies
from nova_lite.api.schemas import keypairs as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services import key_material
from nova_lite.api.services.keypairs import KeypairService
from nova_lite.api.views import keypairs as views
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import Answers, endpoint
from nova_lite.web.versions import Version

#: From here on statuses say what happened: 201 created, 204 deleted.
_EXACT_STATUSES = Version(2, 2)
#: From here on ``user_id`` names whose keypairs are meant.
_OF_OTHERS = Version(2, 10)
_PAGED = Version(2, 35)


class Keypairs:
    """``/os-keypairs``"""

    def __init__(self, keypairs: KeypairService, *, max_limit: int) -> None:
        self._keypairs = keypairs
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller, user_id = req.context.caller, _user_id(req)
        if req.context.version < _PAGED:
            found, has_more = self._keypairs.page(caller, user_id)
        else:
            page = paging.page(req.context.query, self._max_limit)
            found, has_more = self._keypairs.page(caller, user_id, marker=page.marker, limit=page.limit)
        send_json(resp, views.many(req, found, has_more=has_more))

    @endpoint(
        policy=policies.CREATE,
        query=LENIENT_QUERY,
        body=schemas.CREATE,
        answers=Answers((200,), later=((_EXACT_STATUSES, (201,)),)),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = req.context.body["keypair"]
        caller = req.context.caller
        keypair, material = self._keypairs.create(
            caller,
            body.get("user_id", caller.user_id),
            body["name"],
            body.get("type", key_material.SSH),
            body.get("public_key"),
        )
        status = falcon.HTTP_201 if req.context.version >= _EXACT_STATUSES else falcon.HTTP_200
        send_json(resp, views.created(req, keypair, material), status)


class KeypairItem:
    """``/os-keypairs/{name}``"""

    def __init__(self, keypairs: KeypairService) -> None:
        self._keypairs = keypairs

    @endpoint(policy=policies.SHOW, query=schemas.ITEM_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        send_json(resp, views.one(req, self._keypairs.show(req.context.caller, _user_id(req), name)))

    @endpoint(
        policy=policies.DELETE,
        query=schemas.ITEM_QUERY,
        answers=Answers((202,), later=((_EXACT_STATUSES, (204,)),), empty=frozenset({202, 204})),
    )
    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self._keypairs.delete(req.context.caller, _user_id(req), name)
        resp.status = falcon.HTTP_204 if req.context.version >= _EXACT_STATUSES else falcon.HTTP_202


def _user_id(req: falcon.Request) -> str:
    """Return whose keypairs a request is about."""
    own: str = req.context.caller.user_id
    if req.context.version < _OF_OTHERS:
        return own
    return req.context.query.one("user_id") or own
