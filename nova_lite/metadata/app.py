"""The metadata service: what guests ask for at 169.254.169.254, by way of a proxy that says who they are.

Every path is one of a tree that ``model/guest_documents.py`` knows; nothing of a request names a file.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

import falcon
from oslo_config import cfg

from nova_lite import errors
from nova_lite.metadata import askers
from nova_lite.metadata.servers import Finder, MetadataService
from nova_lite.metadata.turns import TooMany, Turns
from nova_lite.model import ec2_documents
from nova_lite.model.guest_documents import TEXT, found_at, is_password, parts_of
from nova_lite.web.app import App
from nova_lite.web.validation import read_body

LOG = logging.getLogger(__name__)

#: Bytes of a password, sealed and encoded, at most.
_MAX_PASSWORD = 1020
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATUSES: Mapping[type[errors.NovaLiteError], int] = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Invalid: 400,
    errors.Forbidden: 403,
    errors.Unavailable: 503,
}


class Metadata:
    """Everything there is: one responder for all paths."""

    def __init__(self, service: MetadataService, *, secret: str, is_behind_proxy: bool) -> None:
        self._service = service
        self._secret = secret
        self._is_behind_proxy = is_behind_proxy
        self._turns = Turns()

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: Any) -> None:
        """Answer a guest's request."""
        resp.content_type = TEXT
        parts = parts_of(req.path)
        if parts == ["ec2"] and req.method in ("GET", "HEAD"):
            # The same for everyone, so that anyone may see that the service is there.
            resp.data = "\n".join((*ec2_documents.VERSIONS, ec2_documents.LATEST)).encode()
            return
        asker = self._asker(req)
        try:
            with self._turns.of(asker.instance_uuid):
                self._answer(req, resp, asker, parts)
        except TooMany as exc:
            raise falcon.HTTPTooManyRequests(headers={"Retry-After": "1"}) from exc

    def _answer(self, req: falcon.Request, resp: falcon.Response, asker: askers.Asker, parts: list[str]) -> None:
        if is_password(parts) and req.method == "POST":
            self._service.keep_password(asker, _password(req))
            return
        found = found_at(self._service.told(asker), parts)
        if found is None:
            raise errors.NotFound("There is nothing at this path.")
        if req.method not in ("GET", "HEAD"):
            if is_password(parts):
                raise errors.Invalid("A password can be got and posted.")
            raise falcon.HTTPMethodNotAllowed(["GET", "HEAD"])
        resp.content_type = found.media_type
        resp.data = found.body

    def _asker(self, req: falcon.Request) -> askers.Asker:
        if not self._is_behind_proxy:
            raise errors.NotFound("Servers have no addresses here that they could be found by.")
        asker = askers.read(req.get_header, self._secret)
        if _UUID.fullmatch(asker.instance_uuid) is None:
            raise errors.NotFound("There is no such server.")
        return asker


def build(conf: cfg.ConfigOpts, finder: Finder) -> App:
    """Return the service; raises Misconfigured without a secret, with which anyone could sign."""
    secret = conf.neutron.metadata_proxy_shared_secret
    is_behind_proxy = conf.neutron.service_metadata_proxy
    if is_behind_proxy and not secret:
        raise errors.Misconfigured("[neutron] metadata_proxy_shared_secret: missing, and anyone could sign without it")
    app: App = falcon.App()
    app.add_error_handler(Exception, _answer_error)
    app.add_error_handler(falcon.HTTPError, _answer_error)
    app.add_sink(Metadata(MetadataService(conf, finder), secret=secret, is_behind_proxy=is_behind_proxy), "/")
    return app


def _password(req: falcon.Request) -> str:
    try:
        text = read_body(req, _MAX_PASSWORD).decode()
    except errors.TooLarge as exc:
        raise errors.Invalid("The request is too large.") from exc
    except UnicodeDecodeError as exc:
        raise errors.Invalid("A password is text, sealed and encoded.") from exc
    if "\0" in text:
        raise errors.Invalid("A password is text, sealed and encoded.")
    return text


def _answer_error(req: falcon.Request, resp: falcon.Response, exc: BaseException, params: object) -> None:
    resp.content_type = TEXT
    if isinstance(exc, falcon.HTTPError):
        resp.status = exc.status
        resp.set_headers(exc.headers or {})
        resp.text = str(exc.title)
        return
    status = next((_STATUSES[kind] for kind in type(exc).__mro__ if kind in _STATUSES), 500)
    resp.status = status
    if isinstance(exc, errors.NovaLiteError) and status < 500:
        resp.text = "" if status == 404 else exc.message
        LOG.info("%s %s: %d %s", req.method, req.path, status, exc.message)
        return
    LOG.error("%s %s failed", req.method, req.path, exc_info=exc)
    resp.text = "An unknown error has occurred. Please try your request again."
    if status == 503:
        resp.set_header("Retry-After", "5")
