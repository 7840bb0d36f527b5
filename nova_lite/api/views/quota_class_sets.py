"""How quota classes look."""

import falcon

from nova_lite.api.services.quotas import INJECTED, NETWORKING, RESOURCES, Limits
from nova_lite.api.views.fields import Field, View
from nova_lite.api.views.quota_sets import limit_of

_SINCE_2_50 = ("server_groups", "server_group_members")

_LIMITS = View[Limits](
    *(Field[Limits](name, limit_of(name), since="2.50" if name in _SINCE_2_50 else "2.1") for name in RESOURCES),
    *(Field[Limits](name, limit_of(name), until="2.49") for name in NETWORKING),
    *(Field[Limits](name, limit_of(name), until="2.56") for name in INJECTED),
)


def one(req: falcon.Request, class_name: str | None, found: Limits) -> dict[str, object]:
    """Return the document of a class's limits; what was just set is shown without its name."""
    shown = _LIMITS.render(found, req.context.version)
    return {"quota_class_set": shown if class_name is None else {"id": class_name, **shown}}
