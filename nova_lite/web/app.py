"""Builds a falcon application the way both REST APIs want it: request ids, caller, version, faults."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import falcon
import orjson
from falcon import media

from nova_lite import errors
from nova_lite.web.caller import Authenticator
from nova_lite.web.versions import Negotiation

_log = logging.getLogger(__name__)

App: TypeAlias = falcon.App[falcon.Request, falcon.Response]

_REQUEST_ID = re.compile(r"req-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
REQUEST_ID_HEADER = "X-Openstack-Request-Id"

#: Error kind → status, the same in every API; an API may add to it or change it.
STATUSES: Mapping[type[errors.NovaLiteError], int] = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Invalid: 400,
    errors.GuestFailed: 400,
    errors.Forbidden: 403,
    errors.OverQuota: 403,
    errors.NoValidHost: 409,
    errors.TooLarge: 413,
    errors.Unprocessable: 422,
    errors.Unsupported: 501,
    errors.Unavailable: 503,
    errors.Misconfigured: 500,
}

#: The longest message a fault carries, whatever a request made it repeat.
_MAX_MESSAGE = 1000

#: What to say where falcon says nothing but the status.
_PLAIN_WORDS = {
    404: "The resource could not be found.",
    405: "The method specified is not allowed for this resource.",
}


@dataclass(frozen=True)
class Fault:
    """An error as an API is about to tell it; ``cause`` is what was raised."""

    status: int
    message: str
    request_id: str
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cause: BaseException | None = None


@dataclass(frozen=True)
class Api:
    """What differs between the two REST APIs."""

    negotiation: Negotiation
    #: Makes the JSON body of a fault.
    render_fault: Callable[[Fault, falcon.Request], object]
    statuses: Mapping[type[errors.NovaLiteError], int] = field(default_factory=lambda: STATUSES)
    #: Whether a path is shown to anyone, without a token.
    is_public: Callable[[str], bool] = lambda path: path in ("", "/")
    #: Paths that are the same in every version, so that a version out of range does not matter there.
    unversioned: frozenset[str] = frozenset()
    #: Content types that bodies may have beside JSON's own; None is none at all. They are read as JSON.
    taken_as_json: frozenset[str | None] = frozenset()
    #: Whether a URL that takes no query parameter refuses one, or ignores it.
    refuses_stray_queries: bool = True
    #: What a URL answers that is there, but not under the method asked.
    wrong_method_status: int = 405
    #: Whether a request's body may have more than its schema knows, which is then passed over.
    is_relaxed: Callable[[falcon.Request], bool] = lambda req: False
    max_body_bytes: int = 1 << 20
    #: Further headers that carry our request id.
    request_id_headers: tuple[str, ...] = ()


class Meter(Protocol):
    """Counts answers."""

    def note(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one answer; ``route`` is the template of its URL, None where no URL was found."""
        ...


def build(api: Api, authenticator: Authenticator, meter: Meter | None = None, **components: Any) -> App:
    """Return a falcon application without routes; ``components`` end up in the context of every request."""
    app = falcon.App(middleware=[_Frame(api, authenticator, meter, components)], independent_middleware=True)
    handler = media.JSONHandler(dumps=_dumps, loads=orjson.loads)
    app.req_options.media_handlers[falcon.MEDIA_JSON] = handler
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
    app.add_error_handler(Exception, _FaultWriter(api).write)
    app.add_error_handler(falcon.HTTPError, _FaultWriter(api).write)
    return app


def send_json(resp: falcon.Response, document: object, status: str | int = 200) -> None:
    """Answer ``document`` as JSON."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(document)


def _dumps(document: object) -> str:
    return orjson.dumps(document).decode()


class _Frame:
    """Middleware: request id, version and caller before the responder; headers after it."""

    def __init__(
        self, api: Api, authenticator: Authenticator, meter: Meter | None, components: Mapping[str, Any]
    ) -> None:
        self._api = api
        self._authenticator = authenticator
        self._meter = meter
        self._components = components

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        context = req.context
        context.began = time.perf_counter()
        context.fault = None
        context.content = None
        context.request_id = f"req-{uuid.uuid4()}"
        context.version = self._api.negotiation.minimum
        context.announced = False
        context.refuses_stray_queries = self._api.refuses_stray_queries
        context.max_body_bytes = self._api.max_body_bytes
        context.taken_as_json = self._api.taken_as_json
        context.is_relaxed = self._api.is_relaxed(req)
        for name, component in self._components.items():
            setattr(context, name, component)
        sent_id = req.get_header(REQUEST_ID_HEADER)
        context.global_request_id = sent_id if sent_id and _REQUEST_ID.fullmatch(sent_id) else None
        if not self._api.is_public(req.path):
            context.caller = self._authenticator.caller(req, context.request_id, context.global_request_id)
        if req.path not in self._api.unversioned:
            context.version = self._api.negotiation.choose(req.get_header)
            context.announced = True
        if "\x00" in req.path or ("\ufffd" in req.path and not _is_utf8(req.env["PATH_INFO"])):
            # Nothing has such a name: not every database can be asked for one, or it was lost when it was read.
            raise falcon.HTTPNotFound(title="Not Found")

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        resp.set_header(REQUEST_ID_HEADER, req.context.request_id)
        for header in self._api.request_id_headers:
            resp.set_header(header, req.context.request_id)
        if req.context.announced:
            self._api.negotiation.announce(resp, req.context.version)
        if self._meter is not None:
            self._meter.note(req.method, req.uri_template, resp.status_code, time.perf_counter() - req.context.began)


class _FaultWriter:
    """Turns whatever a request raised into the API's fault, in one place."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def write(self, req: falcon.Request, resp: falcon.Response, exc: BaseException, params: object) -> None:
        fault = self._fault(exc, req.context.request_id)
        if len(fault.message) > _MAX_MESSAGE:
            fault = replace(fault, message=f"{fault.message[:_MAX_MESSAGE]}…")
        req.context.fault = fault
        resp.set_headers(dict(fault.headers))
        send_json(resp, self._api.render_fault(fault, req), fault.status)

    def _fault(self, exc: BaseException, request_id: str) -> Fault:
        if isinstance(exc, falcon.HTTPError):
            message = exc.description or _PLAIN_WORDS.get(exc.status_code) or exc.title or ""
            if isinstance(exc, falcon.HTTPMethodNotAllowed) and self._api.wrong_method_status != exc.status_code:
                return Fault(self._api.wrong_method_status, message, request_id, None, {}, exc)
            return Fault(exc.status_code, message, request_id, None, _headers(exc), exc)
        if isinstance(exc, errors.NovaLiteError):
            status = next((self._api.statuses[kind] for kind in type(exc).__mro__ if kind in self._api.statuses), 500)
            if status < 500 or isinstance(exc, errors.Unsupported):
                return Fault(status, exc.message, request_id, exc.code, {}, exc)
            _log.warning("%s: %s %s", request_id, exc, exc.facts, exc_info=exc)
            if isinstance(exc, errors.Unavailable):
                return Fault(status, exc.message, request_id, exc.code, {"Retry-After": "5"}, exc)
        else:
            _log.error("%s: unexpected %s", request_id, type(exc).__name__, exc_info=exc)
        message = f"An unexpected error stopped this request. Tell your operator its id: {request_id}"
        return Fault(500, message, request_id, None, {}, exc)


def _headers(exc: falcon.HTTPError) -> dict[str, str]:
    headers = exc.headers or {}
    return dict(headers.items() if isinstance(headers, Mapping) else headers)


def _is_utf8(text: str) -> bool:
    """Return whether ``text``, in which WSGI has each byte as a character, is UTF-8."""
    try:
        text.encode("latin-1").decode()
    except UnicodeError:
        return False
    return True
