"""``/openapi.json``: what the API takes and answers, in one microversion; open to anyone, as the version documents."""

import functools
import hashlib
from collections.abc import Sequence
from urllib.parse import urlsplit

import falcon
import orjson

from nova_lite.api import urls
from nova_lite.api.handlers.versions import Version as VersionDocument
from nova_lite.api.microversions import NEGOTIATION
from nova_lite.api.schemas import openapi as schemas
from nova_lite.api.views import openapi as views
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import HEADER, Version

#: How many documents are kept in memory, of some 150 KiB each.
_KEPT = 8
_CACHED = ("public", "max-age=3600")


def routes(table: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
    """Return the route of the document that tells of ``table``."""
    return [(urls.OPENAPI, OpenApi([("/", VersionDocument("v2.1")), *table]))]


class OpenApi:
    """``/openapi.json``"""

    def __init__(self, table: Sequence[tuple[str, object]]) -> None:
        @functools.lru_cache(maxsize=_KEPT)
        def written(version: Version, base: str) -> tuple[bytes, str]:
            content = orjson.dumps(views.document(table, version, base))
            return content, hashlib.sha256(content).hexdigest()

        self._written = written

    @endpoint(policy=(), query=schemas.QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        asked = req.context.query.one("microversion")
        if asked is not None:
            req.context.version = NEGOTIATION.choose({HEADER: f"{NEGOTIATION.service} {asked}"}.get)
        # Without the host, so that whoever names another one changes nothing for others.
        base = f"{urlsplit(urls.root_url(req)).path}/v2.1"
        content, etag = self._written(req.context.version, base)
        resp.etag = etag
        resp.cache_control = _CACHED
        if any(known in ("*", etag) for known in req.if_none_match or ()):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = falcon.MEDIA_JSON
        resp.data = content
