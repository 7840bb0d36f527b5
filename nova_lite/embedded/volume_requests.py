"""What every request to the embedded block storage API begins and ends with: who asks, at which version, in what shape.

Tokens are the embedded identity service's: ``user:project`` in clear. A service token is one of the administrator's.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import falcon
import orjson

from nova_lite import errors
from nova_lite.embedded.identity_api import owner
from nova_lite.embedded.volume_records import Record
from nova_lite.embedded.volume_store import VolumeCaller
from nova_lite.web.validation import Query, Schemas, parse_query
from nova_lite.web.versions import Version

App: TypeAlias = falcon.App[falcon.Request, falcon.Response]
Document: TypeAlias = dict[str, Any]

MINIMUM, MAXIMUM = Version(3, 0), Version(3, 71)
HEADER = "OpenStack-API-Version"
#: Things in one page, at most.
_MAX_LIMIT = 1000
_MAX_BODY_BYTES = 1 << 20
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)
#: What URLs begin with, perhaps after a project's id.
ROOTS = frozenset(
    ("volumes", "attachments", "snapshots", "types", "limits", "extensions", "os-services", "os-availability-zone")
) | {"os-quota-sets", "scheduler-stats", "os-volume-transfer", "backups"}
#: Status → what the body of an answer calls it.
_NAMES = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest", 413: "overLimit"}
_STATUSES: Mapping[type[errors.NovaLiteError], int] = {
    errors.NotFound: 404,
    errors.Forbidden: 403,
    errors.Conflict: 409,
    errors.Invalid: 400,
    errors.Unsupported: 400,
    errors.OverQuota: 413,
    errors.Unavailable: 503,
}
_T = TypeVar("_T", bound=Record)


class Doorkeeper:
    """Middleware: finds out who asks, at which version, and leaves a project's id in the URL out of account."""

    def __init__(self, admin: str) -> None:
        self._admin = admin

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Set the caller and the version of the request's context."""
        parts = req.path.split("/")
        if len(parts) > 3 and parts[1] == "v3" and parts[2] not in ROOTS and parts[3] in ROOTS:
            del parts[2]
            req.path = "/".join(parts)
        req.context.version = version = _version(req)
        resp.set_header(HEADER, f"volume {version}")
        resp.append_header("Vary", HEADER)
        if len(parts) < 3 or not parts[2]:
            return
        user, project = owner(req.get_header("X-Auth-Token"))
        vouching = req.get_header("X-Service-Token")
        req.context.caller = VolumeCaller(
            user_id=user,
            project_id=project,
            is_admin=user == self._admin,
            is_service=vouching is not None and owner(vouching)[0] == self._admin,
        )


def caller_of(req: falcon.Request) -> VolumeCaller:
    """Return who asks."""
    caller: VolumeCaller = req.context.caller
    return caller


def version_of(req: falcon.Request) -> Version:
    """Return the microversion of a request."""
    version: Version = req.context.version
    return version


def require_version(req: falcon.Request, minor: int) -> None:
    """Answer 404 unless the request is of microversion 3.``minor`` or later."""
    if version_of(req) < (3, minor):
        raise falcon.HTTPNotFound(description="The resource could not be found.")


def require_admin(req: falcon.Request, rule: str) -> None:
    """Raise Forbidden unless the administrator asks."""
    if not caller_of(req).is_admin:
        raise errors.Forbidden(f"Policy doesn't allow {rule} to be performed.")


def document(req: falcon.Request, schema: Schemas, key: str) -> Document:
    """Return what stands under ``key`` in the body, which fits ``schema``; raises Invalid."""
    body = raw_body(req)
    schema.check(body, version_of(req))
    content: Document = body[key]
    return content


def raw_body(req: falcon.Request) -> Any:
    """Return the body, whatever is in it; raises Invalid where it is not JSON."""
    try:
        return orjson.loads(req.bounded_stream.read(_MAX_BODY_BYTES))
    except orjson.JSONDecodeError as exc:
        raise errors.Invalid("Malformed request body") from exc


def wants_all(req: falcon.Request) -> bool:
    """Return whether an administrator asks for everybody's things."""
    wanted = (req.get_param("all_tenants") or "").lower()
    return caller_of(req).is_admin and wanted in ("1", "true", "yes", "on", "t", "y")


def page(
    req: falcon.Request,
    noun: str,
    found: list[_T],
    show: Callable[[_T], Document],
    filters: Mapping[str, Callable[[_T, str], bool]],
    missing: str,
) -> Document:
    """Return one page of ``found``, of which each has an ``id``, as ``show`` shows it, and where the next is.

    ``filters`` are a query's parameters that choose; ``missing`` is how the answer begins for a marker unknown.
    """
    query = parse_query(req)
    for name in query:
        if name in filters:
            value = query.one(name) or ""
            found = [one for one in found if filters[name](one, value)]
    found = _sorted(found, query)
    total = len(found)
    marker, limit = query.one("marker"), _limit(query)
    if marker is not None:
        ids = [one.id for one in found]
        if marker not in ids:
            raise errors.NotFound(f"{missing} {marker[:64]} could not be found.")
        found = found[ids.index(marker) + 1 :]
    found = found[_offset(query) :]
    shown = [show(one) for one in found[:limit]]
    answer: Document = {noun: shown}
    if shown and len(shown) == limit:
        kept = {name: query.one(name) or "" for name in query if name != "marker"}
        more = urlencode({**kept, "marker": found[limit - 1].id})
        answer[f"{noun}_links"] = [{"rel": "next", "href": f"{req.prefix}{req.path}?{more}"}]
    if (query.one("with_count") or "").lower() == "true":
        answer["count"] = total
    return answer


def send(resp: falcon.Response, answer: object, status: int = 200) -> None:
    """Answer with a document."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(answer)


def tell(req: falcon.Request, resp: falcon.Response, exc: errors.NovaLiteError, params: object) -> None:
    """Answer with an error of ours."""
    status = next((code for kind, code in _STATUSES.items() if isinstance(exc, kind)), 500)
    _send_fault(resp, status, exc.message)


def serialize(req: falcon.Request, resp: falcon.Response, exc: falcon.HTTPError) -> None:
    """Write the body of falcon's own errors."""
    message = exc.description or "The resource could not be found."
    if exc.status_code == 401:
        resp.data = orjson.dumps({"error": {"code": 401, "title": "Unauthorized", "message": message}})
        resp.content_type = falcon.MEDIA_JSON
    else:
        _send_fault(resp, exc.status_code, message)


def _send_fault(resp: falcon.Response, status: int, message: str) -> None:
    fault: Document = {"code": status, "message": message}
    if status == 413:
        fault["retryAfter"] = "0"
        resp.set_header("Retry-After", "0")
    send(resp, {_NAMES.get(status, "computeFault"): fault}, status)


def _version(req: falcon.Request) -> Version:
    said = [part.split() for part in (req.get_header(HEADER) or "").split(",")]
    wanted = next((part[1] for part in said if len(part) == 2 and part[0] == "volume"), None)
    if wanted is None:
        return MINIMUM
    if wanted == "latest":
        return MAXIMUM
    match = _VERSION.fullmatch(wanted)
    if match is None:
        raise errors.Invalid(
            f"API Version String {wanted[:32]} is of invalid format. Must be of format MajorNum.MinorNum."
        )
    version = Version(int(match[1]), int(match[2]))
    if not MINIMUM <= version <= MAXIMUM:
        raise falcon.HTTPNotAcceptable(
            description=f"Version {version} is not supported by the API. Minimum is {MINIMUM} and maximum is {MAXIMUM}."
        )
    return version


def _limit(query: Query) -> int:
    text = query.one("limit")
    if text is None:
        return _MAX_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        kind = "positive" if text.lstrip("-").isdigit() else "an integer"
        raise errors.Invalid(f"limit param must be {kind}")
    return min(int(text), _MAX_LIMIT)


def _offset(query: Query) -> int:
    text = query.one("offset") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise errors.Invalid("offset param must be positive")
    return int(text)


_SORTABLE = {"size": "size_gib", "display_name": "name", **{key: key for key in ("id", "name", "status", "created_at")}}


def _sorted(found: list[_T], query: Query) -> list[_T]:
    """Return ``found`` in the order asked for, by ``sort=name:asc,…`` or ``sort_key`` and ``sort_dir``."""
    text = query.one("sort") or (query.one("sort_key") and f"{query.one('sort_key')}:{query.one('sort_dir') or 'desc'}")
    for part in reversed(text.split(",") if text else []):
        key, _, direction = part.partition(":")
        if key not in _SORTABLE or direction not in ("", "asc", "desc"):
            raise errors.Invalid(f"Invalid input received: Invalid sort key: {json.dumps(part[:64])}")
        found = sorted(found, key=_sort_key(_SORTABLE[key]), reverse=direction != "asc")
    return found


def _sort_key(name: str) -> Callable[[object], tuple[int, str]]:
    def key(one: object) -> tuple[int, str]:
        value = getattr(one, name, None)
        return (value, "") if isinstance(value, int) else (0, str(value or ""))

    return key
