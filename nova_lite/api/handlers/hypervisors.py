"""``/os-hypervisors`` and what is below it."""

import falcon

from nova_lite import errors
from nova_lite.api.policies import hypervisors as policies
from nova_lite.api.schemas import hypervisors as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY, read_boolean, read_uuid
from nova_lite.api.services.hypervisors import HypervisorRef, HypervisorService
from nova_lite.api.views import hypervisors as views
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

_PAGED = Version(2, 33)
_BY_UUID = Version(2, 53)
#: From here on a hypervisor says itself how long its host is up.
_WITH_UPTIME = Version(2, 88)


class Hypervisors:
    """``/os-hypervisors``"""

    def __init__(self, hypervisors: HypervisorService, *, max_limit: int) -> None:
        self._hypervisors = hypervisors
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_list(self._hypervisors, req, resp, self._max_limit, is_detailed=False)


class HypervisorsDetail:
    """``/os-hypervisors/detail``"""

    def __init__(self, hypervisors: HypervisorService, *, max_limit: int) -> None:
        self._hypervisors = hypervisors
        self._max_limit = max_limit

    @endpoint(policy=policies.DETAIL, query=schemas.LIST_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_list(self._hypervisors, req, resp, self._max_limit, is_detailed=True)


class HypervisorStatistics:
    """``/os-hypervisors/statistics``"""

    def __init__(self, hypervisors: HypervisorService) -> None:
        self._hypervisors = hypervisors

    @endpoint(policy=policies.STATISTICS, query=LENIENT_QUERY, enforce=True, until="2.87")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.statistics(*self._hypervisors.statistics()))


class HypervisorItem:
    """``/os-hypervisors/{hypervisor_id}``"""

    def __init__(self, hypervisors: HypervisorService) -> None:
        self._hypervisors = hypervisors

    @endpoint(policy=policies.SHOW, query=schemas.SHOW_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, hypervisor_id: str) -> None:
        hypervisor = self._hypervisors.show(
            _ref(hypervisor_id, req.context.version),
            with_servers=_with_servers(req),
            with_uptime=req.context.version >= _WITH_UPTIME,
        )
        send_json(resp, views.one(req, hypervisor))


class HypervisorUptime:
    """``/os-hypervisors/{hypervisor_id}/uptime``"""

    def __init__(self, hypervisors: HypervisorService) -> None:
        self._hypervisors = hypervisors

    @endpoint(policy=policies.UPTIME, query=LENIENT_QUERY, enforce=True, until="2.87")
    def on_get(self, req: falcon.Request, resp: falcon.Response, hypervisor_id: str) -> None:
        send_json(resp, views.uptime(req, self._hypervisors.uptime(_ref(hypervisor_id, req.context.version))))


class HypervisorSearch:
    """``/os-hypervisors/{hypervisor_id}/search``, where the id is a part of a name."""

    def __init__(self, hypervisors: HypervisorService) -> None:
        self._hypervisors = hypervisors

    @endpoint(policy=policies.SEARCH, query=LENIENT_QUERY, enforce=True, until="2.52")
    def on_get(self, req: falcon.Request, resp: falcon.Response, hypervisor_id: str) -> None:
        send_json(resp, views.many(req, self._hypervisors.matching(hypervisor_id), is_detailed=False))


class HypervisorServers:
    """``/os-hypervisors/{hypervisor_id}/servers``, where the id is a part of a name."""

    def __init__(self, hypervisors: HypervisorService) -> None:
        self._hypervisors = hypervisors

    @endpoint(policy=policies.SERVERS, query=LENIENT_QUERY, enforce=True, until="2.52")
    def on_get(self, req: falcon.Request, resp: falcon.Response, hypervisor_id: str) -> None:
        found = self._hypervisors.matching(hypervisor_id, with_servers=True)
        send_json(resp, views.many(req, found, is_detailed=False))


def _send_list(
    hypervisors: HypervisorService, req: falcon.Request, resp: falcon.Response, max_limit: int, *, is_detailed: bool
) -> None:
    query, version = req.context.query, req.context.version
    name_part = query.one("hypervisor_hostname_pattern") if version >= _BY_UUID else None
    if name_part is not None:
        if "limit" in query or "marker" in query:
            raise errors.Invalid("hypervisor_hostname_pattern: cannot be combined with limit or marker")
        found = hypervisors.matching(name_part, with_usage=is_detailed, with_servers=_with_servers(req))
        send_json(resp, views.many(req, found, is_detailed=is_detailed))
        return
    limit, marker = None, None
    if version >= _PAGED:
        page = paging.page(query, max_limit)
        limit, marker = page.limit, None if page.marker is None else _marker(page.marker, version)
    found, has_more = hypervisors.page(
        marker=marker, limit=limit, with_usage=is_detailed, with_servers=_with_servers(req)
    )
    send_json(resp, views.many(req, found, is_detailed=is_detailed, has_more=has_more))


def _ref(hypervisor_id: str, version: Version) -> HypervisorRef:
    """Return what a URL names; raises Invalid for what is no UUID, before 2.53 NotFound for what is no number."""
    if version >= _BY_UUID:
        return HypervisorRef(uuid=read_uuid(hypervisor_id, "hypervisor id"))
    if _is_number(hypervisor_id):
        return HypervisorRef(number=int(hypervisor_id))
    raise errors.NotFound(f"Hypervisor with ID '{hypervisor_id[:64]}' could not be found.")


def _with_servers(req: falcon.Request) -> bool:
    return req.context.version >= _BY_UUID and read_boolean(req.context.query.one("with_servers"))


def _marker(text: str, version: Version) -> HypervisorRef:
    if version >= _BY_UUID:
        return HypervisorRef(uuid=read_uuid(text, "marker"))
    if not _is_number(text):
        raise errors.Invalid(f"marker: {text[:64]!r} is not a number")
    return HypervisorRef(number=int(text))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
