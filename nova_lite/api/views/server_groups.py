"""How server groups look."""

from collections.abc import Iterable

import falcon

from nova_lite.api.views.fields import Field, View
from nova_lite.model.server_group import ServerGroup

_GROUP = View[ServerGroup](
    Field("id", lambda group: group.uuid),
    Field("name", lambda group: group.name),
    Field("policies", lambda group: [group.policy], until="2.63"),
    Field("metadata", lambda group: {}, until="2.63"),
    Field("policy", lambda group: group.policy, since="2.64"),
    Field("rules", lambda group: dict(group.rules), since="2.64"),
    Field("members", lambda group: list(group.members)),
    Field("project_id", lambda group: group.project_id, since="2.13"),
    Field("user_id", lambda group: group.user_id, since="2.13"),
)


def one(req: falcon.Request, group: ServerGroup) -> dict[str, object]:
    """Return the document of one group."""
    return {"server_group": _GROUP.render(group, req.context.version)}


def many(req: falcon.Request, groups: Iterable[ServerGroup]) -> dict[str, object]:
    """Return the document of a list of groups."""
    return {"server_groups": [_GROUP.render(group, req.context.version) for group in groups]}
