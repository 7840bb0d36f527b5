"""``/os-simple-tenant-usage`` and one project's below it."""

from datetime import datetime

import falcon

from nova_lite import errors
from nova_lite.api.policies import usages as policies
from nova_lite.api.schemas import usages as schemas
from nova_lite.api.services.usages import UsageQuery, UsageService
from nova_lite.api.views import usages as views
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories.usages import Window
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.validation import Query
from nova_lite.web.versions import Version

_PAGED = Version(2, 40)
_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f")


class Usages:
    """``/os-simple-tenant-usage``"""

    def __init__(self, usages: UsageService, *, max_limit: int) -> None:
        self._usages = usages
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = _query(req)
        is_detailed = req.context.query.all("detailed")[:1] == ["1"]
        if req.context.version < _PAGED:
            found, last = self._usages.whole(query, with_servers=is_detailed), None
        else:
            page = paging.page(req.context.query, self._max_limit)
            found, last = self._usages.page(query, limit=page.limit, marker=page.marker)
        send_json(resp, views.many(req, query.window, found, is_detailed=is_detailed, next_marker=last))


class ProjectUsages:
    """``/os-simple-tenant-usage/{project_id}``"""

    def __init__(self, usages: UsageService, *, max_limit: int) -> None:
        self._usages = usages
        self._max_limit = max_limit

    @endpoint(policy=policies.SHOW, query=schemas.SHOW_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        req.context.caller.require(policies.SHOW, project_id=project_id)
        query = _query(req, project_id)
        if req.context.version < _PAGED:
            found, last = self._usages.whole(query, with_servers=True), None
        else:
            page = paging.page(req.context.query, self._max_limit)
            found, last = self._usages.page(query, limit=page.limit, marker=page.marker)
        send_json(resp, views.one(req, query.window, found, next_marker=last))


def _query(req: falcon.Request, project_id: str | None = None) -> UsageQuery:
    """Return what is asked: the first start and end given, else now; raises Invalid for a window without time.

    No window ends later than now: nobody has used tomorrow yet.
    """
    now = utcnow()
    start, end = (_moment(req.context.query, name) for name in ("start", "end"))
    if (start or end) and (start or now) >= (end or now):
        raise errors.Invalid("start: not before the end")
    return UsageQuery(Window(start or now, min(end or now, now)), now, project_id)


def _moment(query: Query, name: str) -> datetime | None:
    text = next(iter(query.all(name)), "")
    if not text:
        return None
    for form in _FORMATS if text.isascii() else ():
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - these are UTC and say so nowhere
        except ValueError:
            continue
    raise errors.Invalid(f"{name}: {text[:64]!r} is not a time like 2026-01-31T23:59:59, in UTC")
