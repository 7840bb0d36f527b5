"""How usage looks."""

from collections.abc import Sequence

import falcon

from nova_lite.api.services.usages import ProjectUsage, ServerUsage
from nova_lite.api.views import links
from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.db.repositories.usages import Window
from nova_lite.web import paging

#: What a server that is no more is called here, whatever state it ended in.
_ENDED = "terminated"

_SERVER = View[ServerUsage](
    Field("instance_id", lambda usage: usage.server.uuid),
    Field("name", lambda usage: usage.server.name),
    Field("tenant_id", lambda usage: usage.server.project_id),
    Field("flavor", lambda usage: usage.server.flavor_name),
    Field("hours", lambda usage: usage.hours),
    Field("vcpus", lambda usage: usage.server.vcpus),
    Field("memory_mb", lambda usage: usage.server.ram_mib),
    Field("local_gb", lambda usage: usage.server.disk_gib),
    Field("started_at", lambda usage: timestamp(usage.server.launched_at)),
    Field("ended_at", lambda usage: timestamp(usage.server.terminated_at)),
    Field("state", lambda usage: usage.server.vm_state if usage.server.terminated_at is None else _ENDED),
    Field("uptime", lambda usage: usage.uptime_s),
)
_PROJECT = View[ProjectUsage](
    Field("tenant_id", lambda usage: usage.project_id),
    Field("total_hours", lambda usage: usage.hours),
    Field("total_vcpus_usage", lambda usage: usage.vcpu_hours),
    Field("total_memory_mb_usage", lambda usage: usage.ram_mib_hours),
    Field("total_local_gb_usage", lambda usage: usage.disk_gib_hours),
)


def many(
    req: falcon.Request,
    window: Window,
    projects: Sequence[ProjectUsage],
    *,
    is_detailed: bool,
    next_marker: str | None = None,
) -> dict[str, object]:
    """Return the document of many projects."""
    shown = [_project(req, window, project, is_detailed=is_detailed) for project in projects]
    return {"tenant_usages": shown, **_next(req, "tenant_usages_links", next_marker)}


def one(
    req: falcon.Request, window: Window, projects: Sequence[ProjectUsage], *, next_marker: str | None = None
) -> dict[str, object]:
    """Return the document of one project, which is empty when nothing of it was there."""
    shown = _project(req, window, projects[0], is_detailed=True) if projects else {}
    return {"tenant_usage": shown, **_next(req, "tenant_usage_links", next_marker)}


def _project(req: falcon.Request, window: Window, project: ProjectUsage, *, is_detailed: bool) -> dict[str, object]:
    shown = _PROJECT.render(project, req.context.version)
    shown |= {"start": timestamp(window.start), "stop": timestamp(window.end)}
    if is_detailed:
        shown["server_usages"] = [_SERVER.render(usage, req.context.version) for usage in project.servers]
    return shown


def _next(req: falcon.Request, name: str, marker: str | None) -> dict[str, object]:
    if marker is None:
        return {}
    return {name: [{"rel": "next", "href": paging.next_url(links.collection_url(req), req.context.query, marker)}]}
