"""``/servers/{id}/metadata`` and ``/servers/{id}/metadata/{key}``."""

import falcon

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.schemas import server_metadata as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.server_metadata import ServerMetadataService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import NO_CONTENT, endpoint


class ServerMetadata:
    """``/servers/{id}/metadata``"""

    def __init__(self, service: ServerMetadataService) -> None:
        self._service = service

    @endpoint(policy=rules.METADATA_INDEX, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"metadata": self._service.all(req.context.caller, server_id)})

    @endpoint(policy=rules.METADATA_CREATE, query=LENIENT_QUERY, body=schemas.ALL)
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        items = req.context.body["metadata"]
        send_json(resp, {"metadata": self._service.merge(req.context.caller, server_id, items)})

    @endpoint(policy=rules.METADATA_UPDATE_ALL, query=LENIENT_QUERY, body=schemas.ALL)
    def on_put(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        items = req.context.body["metadata"]
        send_json(resp, {"metadata": self._service.replace(req.context.caller, server_id, items)})


class ServerMetadataItem:
    """``/servers/{id}/metadata/{key}``"""

    def __init__(self, service: ServerMetadataService) -> None:
        self._service = service

    @endpoint(policy=rules.METADATA_SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, key: str) -> None:
        send_json(resp, {"meta": {key: self._service.item(req.context.caller, server_id, key)}})

    @endpoint(policy=rules.METADATA_UPDATE, query=LENIENT_QUERY, body=schemas.ITEM)
    def on_put(self, req: falcon.Request, resp: falcon.Response, server_id: str, key: str) -> None:
        item = req.context.body["meta"]
        if key not in item:
            raise errors.Invalid("meta: the body names another item than the URL")
        self._service.set_item(req.context.caller, server_id, key, item[key])
        send_json(resp, {"meta": item})

    @endpoint(policy=rules.METADATA_DELETE, query=LENIENT_QUERY, answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str, key: str) -> None:
        self._service.remove(req.context.caller, server_id, key)
        resp.status = falcon.HTTP_204
