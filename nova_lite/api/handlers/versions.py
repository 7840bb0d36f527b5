"""The documents that tell clients which API this is: ``/``, ``/v2`` and ``/v2.1``; open to anyone."""

import falcon

from nova_lite.api import urls
from nova_lite.api.schemas import versions as schemas
from nova_lite.api.views import versions as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint

#: What tells which versions there are cannot depend on one.
UNVERSIONED = frozenset({"", "/", urls.CHOICES})


def is_public(path: str) -> bool:
    """Return whether ``path`` is shown without a token."""
    return path in ("", "/", urls.CHOICES, urls.OPENAPI, *urls.VERSION_ROOTS)


def routes() -> list[tuple[str, object]]:
    """Return the routes of the version documents."""
    return [("/", Versions()), ("/v2", Version("v2.0")), ("/v2.1", Version("v2.1")), (urls.CHOICES, Choices())]


class Versions:
    """``/``"""

    @endpoint(policy=(), query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.versions(req))

    # Load balancers ask like this whether the API is there.
    on_head = on_get


class Version:
    """``/v2`` and ``/v2.1``"""

    def __init__(self, version_id: str) -> None:
        self._version_id = version_id

    @endpoint(policy=(), query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.version(req, self._version_id))

    on_head = on_get


class Choices:
    """Any path that names no version."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._answer(req, resp)

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._answer(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._answer(req, resp)

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._answer(req, resp)

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._answer(req, resp)

    @endpoint(policy=(), query=schemas.QUERY)
    def _answer(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.choices(req), falcon.HTTP_300)
