"""How hypervisors look."""

from collections.abc import Callable, Sequence

import falcon
import orjson

from nova_lite.api.services.hypervisors import Hypervisor
from nova_lite.api.views import links
from nova_lite.api.views.compute_services import state, status
from nova_lite.api.views.fields import Field, View
from nova_lite.model.host import ComputeNode
from nova_lite.web import paging
from nova_lite.web.versions import Version

_BY_UUID = Version(2, 53)
#: From here on a hypervisor without servers says so, where they were asked for.
_EMPTY_SERVERS = Version(2, 75)

#: What a hypervisor has and uses → how it is read; shown of each until 2.87, and of all together.
_AMOUNTS: dict[str, Callable[[ComputeNode], int]] = {
    "vcpus": lambda node: node.vcpus,
    "memory_mb": lambda node: node.ram_mib,
    "local_gb": lambda node: node.disk_gib,
    "vcpus_used": lambda node: node.vcpus_used,
    "memory_mb_used": lambda node: node.ram_mib_used,
    "local_gb_used": lambda node: node.disk_gib_used,
    "free_ram_mb": lambda node: node.ram_mib - node.ram_mib_used,
    "free_disk_gb": lambda node: node.disk_gib - node.disk_gib_used,
    "disk_available_least": lambda node: node.disk_gib - node.disk_gib_used,
    "running_vms": lambda node: node.running_vms,
    "current_workload": lambda node: node.busy_vms,
}
_BRIEF = (
    Field[Hypervisor]("id", lambda hypervisor: hypervisor.node.number, until="2.52"),
    Field[Hypervisor]("id", lambda hypervisor: hypervisor.node.uuid, since="2.53"),
    Field[Hypervisor]("hypervisor_hostname", lambda hypervisor: hypervisor.node.hypervisor_hostname),
    Field[Hypervisor]("state", lambda hypervisor: state(hypervisor.service is not None and hypervisor.service.is_up)),
    Field[Hypervisor](
        "status", lambda hypervisor: status(hypervisor.service is not None and hypervisor.service.is_disabled)
    ),
)


def _amount(read: Callable[[ComputeNode], int]) -> Callable[[Hypervisor], object]:
    return lambda hypervisor: read(hypervisor.node)


_LISTED = View(*_BRIEF)
_UPTIME = View(*_BRIEF, Field("uptime", lambda hypervisor: hypervisor.node.uptime))
_FULL = View(
    *_BRIEF,
    *(Field[Hypervisor](name, _amount(read), until="2.87") for name, read in _AMOUNTS.items()),
    Field("host_ip", lambda hypervisor: hypervisor.node.host_ip),
    Field("hypervisor_type", lambda hypervisor: hypervisor.node.hypervisor_type),
    Field("hypervisor_version", lambda hypervisor: hypervisor.node.hypervisor_version),
    Field("cpu_info", lambda hypervisor: orjson.dumps(hypervisor.node.cpu_info).decode(), until="2.27"),
    Field("cpu_info", lambda hypervisor: hypervisor.node.cpu_info, since="2.28", until="2.87"),
    Field("uptime", lambda hypervisor: hypervisor.node.uptime, since="2.88"),
    Field("service", lambda hypervisor: _service(hypervisor, by_uuid=False), until="2.52"),
    Field("service", lambda hypervisor: _service(hypervisor, by_uuid=True), since="2.53"),
)


def one(req: falcon.Request, hypervisor: Hypervisor) -> dict[str, object]:
    """Return the document of one hypervisor."""
    return {"hypervisor": _shown(_FULL, req.context.version, hypervisor)}


def uptime(req: falcon.Request, hypervisor: Hypervisor) -> dict[str, object]:
    """Return how long a hypervisor's host is up, before the hypervisor itself told it."""
    return {"hypervisor": _UPTIME.render(hypervisor, req.context.version)}


def many(
    req: falcon.Request, hypervisors: Sequence[Hypervisor], *, is_detailed: bool, has_more: bool = False
) -> dict[str, object]:
    """Return one page of hypervisors."""
    view = _FULL if is_detailed else _LISTED
    version = req.context.version
    document: dict[str, object] = {"hypervisors": [_shown(view, version, hypervisor) for hypervisor in hypervisors]}
    if has_more:
        last = hypervisors[-1].node
        marker = last.uuid if version >= _BY_UUID else str(last.number)
        href = paging.next_url(links.collection_url(req), req.context.query, marker)
        document["hypervisors_links"] = [{"rel": "next", "href": href}]
    return document


def statistics(count: int, total: ComputeNode) -> dict[str, object]:
    """Return what all hypervisors have and use together."""
    return {"hypervisor_statistics": {"count": count, **{name: read(total) for name, read in _AMOUNTS.items()}}}


def _shown(view: View[Hypervisor], version: Version, hypervisor: Hypervisor) -> dict[str, object]:
    shown = view.render(hypervisor, version)
    if hypervisor.servers or (hypervisor.servers is not None and version >= _EMPTY_SERVERS):
        shown["servers"] = [{"uuid": uuid, "name": name} for uuid, name in hypervisor.servers]
    return shown


def _service(hypervisor: Hypervisor, *, by_uuid: bool) -> dict[str, object]:
    service = hypervisor.service
    if service is None:
        return {"id": None, "host": hypervisor.node.host, "disabled_reason": None}
    service_id: object = service.uuid if by_uuid else service.number
    return {"id": service_id, "host": service.host, "disabled_reason": service.disabled_reason}
