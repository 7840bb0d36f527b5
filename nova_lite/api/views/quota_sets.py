"""How quota sets look."""

from collections.abc import Callable

import falcon

from nova_lite.api.services.limits import RESOURCES, Limits
from nova_lite.api.views.fields import Field, View
from nova_lite.web.versions import Version

#: Limits of what the network service keeps now, shown until 2.35.
_NETWORKING = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")
#: Limits of files put into a server as it is made, shown until 2.56; there can be none here.
_INJECTED = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")


def _limit_of(resource: str) -> Callable[[Limits], object]:
    return lambda found: found.limits[resource]


_LIMITS = View[Limits](
    *(Field[Limits](resource, _limit_of(resource)) for resource in RESOURCES),
    *(Field[Limits](resource, lambda found: -1, until="2.35") for resource in _NETWORKING),
    *(Field[Limits](resource, lambda found: 0, until="2.56") for resource in _INJECTED),
)


def one(req: falcon.Request, project_id: str, found: Limits, *, with_use: bool = False) -> dict[str, object]:
    """Return the document of a project's quotas."""
    version: Version = req.context.version
    shown = _LIMITS.render(found, version)
    if with_use:
        shown = {
            resource: {"limit": limit, "in_use": found.used.get(resource, 0), "reserved": 0}
            for resource, limit in shown.items()
        }
    return {"quota_set": {"id": project_id, **shown}}
