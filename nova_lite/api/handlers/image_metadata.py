"""``/images/{image_id}/metadata`` and ``/images/{image_id}/metadata/{key}``, up to 2.38."""

import falcon

from nova_lite import errors
from nova_lite.api.policies import images as policies
from nova_lite.api.schemas import server_metadata as schemas
from nova_lite.api.services.image_proxies import ImageProxyService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, NO_CONTENT, endpoint


class ImageMetadata:
    """``/images/{image_id}/metadata``"""

    def __init__(self, images: ImageProxyService) -> None:
        self._images = images

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, enforce=True, until="2.38")
    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        send_json(resp, {"metadata": self._images.show(req.context.caller, image_id).properties})

    @endpoint(policy=policies.CHANGE, query=ANY_QUERY, body=schemas.ALL, enforce=True, until="2.38")
    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        items = req.context.body["metadata"]
        send_json(resp, {"metadata": self._images.merge(req.context.caller, image_id, items)})

    @endpoint(policy=policies.CHANGE, query=ANY_QUERY, body=schemas.ALL, enforce=True, until="2.38")
    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        items = req.context.body["metadata"]
        send_json(resp, {"metadata": self._images.replace(req.context.caller, image_id, items)})


class ImageMetadataItem:
    """``/images/{image_id}/metadata/{key}``"""

    def __init__(self, images: ImageProxyService) -> None:
        self._images = images

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, enforce=True, until="2.38")
    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str, key: str) -> None:
        send_json(resp, {"meta": {key: self._images.item(req.context.caller, image_id, key)}})

    @endpoint(policy=policies.CHANGE, query=ANY_QUERY, body=schemas.ITEM, enforce=True, until="2.38")
    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str, key: str) -> None:
        item = req.context.body["meta"]
        if key not in item:
            raise errors.Invalid("meta: the body names another item than the URL")
        self._images.merge(req.context.caller, image_id, item)
        send_json(resp, {"meta": item})

    @endpoint(policy=policies.CHANGE, query=ANY_QUERY, enforce=True, until="2.38", answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, image_id: str, key: str) -> None:
        self._images.remove(req.context.caller, image_id, key)
        resp.status = falcon.HTTP_204
