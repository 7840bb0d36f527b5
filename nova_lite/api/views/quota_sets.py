"""How quota sets look."""

from collections.abc import Callable

import falcon

from nova_lite.api.services.quotas import INJECTED, NETWORKING, RESOURCES, Limits
from nova_lite.api.views.fields import Field, View
from nova_lite.web.versions import Version


def limit_of(resource: str) -> Callable[[Limits], object]:
    """Return a function that reads one limit."""
    return lambda found: found.limits[resource]


_LIMITS = View[Limits](
    *(Field[Limits](resource, limit_of(resource)) for resource in RESOURCES),
    *(Field[Limits](resource, limit_of(resource), until="2.35") for resource in NETWORKING),
    *(Field[Limits](resource, limit_of(resource), until="2.56") for resource in INJECTED),
)


def one(req: falcon.Request, project_id: str | None, found: Limits, *, with_use: bool = False) -> dict[str, object]:
    """Return the document of a project's quotas; what was just set is shown without whose it is."""
    version: Version = req.context.version
    shown = _LIMITS.render(found, version)
    if with_use:
        shown = {
            resource: {"limit": limit, "in_use": found.used.get(resource, 0), "reserved": 0}
            for resource, limit in shown.items()
        }
    return {"quota_set": shown if project_id is None else {"id": project_id, **shown}}
