"""``/servers/{server_id}/os-volume_attachments`` and one volume below it."""

import falcon

from nova_lite.api.policies import volume_attachments as policies
from nova_lite.api.schemas import volume_attachments as schemas
from nova_lite.api.schemas.values import MAX_INT, read_boolean, read_uuid
from nova_lite.api.services.volume_attachments import Changes, VolumeAttachmentService, Wanted
from nova_lite.api.services.volume_swaps import VolumeSwapService
from nova_lite.api.views import volume_attachments as views
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, ANY_QUERY, Answers, endpoint
from nova_lite.web.validation import Query
from nova_lite.web.versions import Version

#: From here on shelved servers get and lose volumes.
_ON_SHELF = Version(2, 20)
_SHARED = Version(2, 60)
#: From here on an update may be about the attachment; before, it was always about another volume.
_UPDATES = Version(2, 85)
#: From here on only what has an attachment is shown.
_WITH_ATTACHMENT = Version(2, 89)
_SILENT = Version(2, 101)


class VolumeAttachments:
    """``/servers/{server_id}/os-volume_attachments``"""

    def __init__(self, attachments: VolumeAttachmentService, *, max_limit: int) -> None:
        self._attachments = attachments
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        query = req.context.query
        # A limit of 0 is none.
        limit = paging.page(query, self._max_limit).limit or self._max_limit
        offset = _offset(query)
        with_reserving = req.context.version < _WITH_ATTACHMENT
        # What is left out is counted all the same.
        found = self._attachments.of_server(req.context.caller, server_id)[offset : offset + limit]
        send_json(resp, views.many(req, [held for held in found if held.has_attachment or with_reserving]))

    @endpoint(
        policy=policies.CREATE,
        query=ANY_QUERY,
        body=schemas.CREATE,
        answers=Answers((200,), later=((_SILENT, (202,)),), empty=frozenset({202})),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        body = req.context.body["volumeAttachment"]
        wanted = Wanted(
            volume_id=read_uuid(body["volumeId"], "volumeId"),
            device_name=body.get("device"),
            tag=body.get("tag"),
            delete_on_termination=read_boolean(body.get("delete_on_termination", False)),
            may_be_shared=req.context.version >= _SHARED,
            may_be_shelved=req.context.version >= _ON_SHELF,
        )
        held = self._attachments.attach(req.context.caller, server_id, wanted)
        if req.context.version >= _SILENT:
            resp.status = falcon.HTTP_202
            return
        send_json(resp, views.begun(req, held))


class VolumeAttachment:
    """``/servers/{server_id}/os-volume_attachments/{volume_id}``"""

    def __init__(self, attachments: VolumeAttachmentService, swaps: VolumeSwapService) -> None:
        self._attachments = attachments
        self._swaps = swaps

    @endpoint(policy=policies.SHOW, query=ANY_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, volume_id: str) -> None:
        with_reserving = req.context.version < _WITH_ATTACHMENT
        held = self._attachments.show(req.context.caller, server_id, volume_id, with_reserving=with_reserving)
        send_json(resp, views.one(req, held))

    @endpoint(policy=(policies.UPDATE, policies.SWAP), query=ANY_QUERY, body=schemas.UPDATE, answers=ACCEPTED)
    def on_put(self, req: falcon.Request, resp: falcon.Response, server_id: str, volume_id: str) -> None:
        body = req.context.body["volumeAttachment"]
        other = read_uuid(body["volumeId"], "volumeId")
        unchangeable = {name: body[name] for name in ("id", "serverId", "device", "tag") if name in body}
        delete = read_boolean(body["delete_on_termination"]) if "delete_on_termination" in body else None
        changes = Changes(unchangeable, delete)
        if req.context.version < _UPDATES:
            self._swaps.swap(req.context.caller, server_id, volume_id, other, None)
        elif other != volume_id:
            self._swaps.swap(req.context.caller, server_id, volume_id, other, changes)
        else:
            self._attachments.update(req.context.caller, server_id, volume_id, changes)
        resp.status = falcon.HTTP_202

    @endpoint(policy=policies.DELETE, query=ANY_QUERY, answers=ACCEPTED)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str, volume_id: str) -> None:
        may_be_shelved = req.context.version >= _ON_SHELF
        self._attachments.detach(req.context.caller, server_id, volume_id, may_be_shelved=may_be_shelved)
        resp.status = falcon.HTTP_202


def _offset(query: Query) -> int:
    """Return how many volumes to leave out; no server has as many as the greatest number that is read."""
    text = query.one("offset") or "0"
    return min(int(text), MAX_INT) if len(text) <= 18 else MAX_INT
