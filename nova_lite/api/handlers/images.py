"""``/images``, ``/images/detail`` and ``/images/{image_id}``: from 2.36 on clients ask the image service themselves."""

import falcon

from nova_lite.api.policies import images as policies
from nova_lite.api.schemas import images as schemas
from nova_lite.api.services.image_proxies import ImageProxyService
from nova_lite.api.views import images as views
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, NO_CONTENT, endpoint


class Images:
    """``/images``; ``/images/detail`` if so made."""

    def __init__(self, images: ImageProxyService, *, max_limit: int, is_detailed: bool = False) -> None:
        self._images = images
        self._max_limit = max_limit
        self._is_detailed = is_detailed

    @endpoint(policy=policies.SHOW, query=schemas.LIST_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = req.context.query
        page = paging.page(query, self._max_limit)
        found, has_more = self._images.page(req.context.caller, schemas.filters(query), page.limit, page.marker)
        look = views.Look(req, self._images.endpoint)
        send_json(resp, views.many(found, look, has_more=has_more, is_detailed=self._is_detailed))


class Image:
    """``/images/{image_id}``"""

    def __init__(self, images: ImageProxyService) -> None:
        self._images = images

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        found = self._images.show(req.context.caller, image_id)
        send_json(resp, {"image": views.one(found, views.Look(req, self._images.endpoint))})

    @endpoint(policy=policies.CHANGE, query=ANY_QUERY, enforce=True, until="2.35", answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        self._images.delete(req.context.caller, image_id)
        resp.status = falcon.HTTP_204
