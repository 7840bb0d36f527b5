"""How a request looks at servers: works out once what every server of its answer needs."""

import falcon

from nova_lite.api import urls
from nova_lite.api.policies import servers as rules
from nova_lite.api.views.servers import Look
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance


def look(req: falcon.Request, instance: Instance | None = None) -> Look:
    """Return how ``req`` looks at ``instance``, or at servers in general."""
    caller: Caller = req.context.caller
    target = {} if instance is None else {"project_id": instance.project_id, "user_id": instance.user_id}
    return Look(
        version=req.context.version,
        api_url=urls.api_url(req),
        bookmark_url=urls.bookmark_url(req),
        sees_extended=caller.may(rules.SHOW_EXTENDED, **target),
        sees_extra_specs=caller.may(rules.SHOW_EXTRA_SPECS, **target),
        is_admin=caller.is_admin,
    )


def visible_host_status(caller: Caller, status: str | None) -> str | None:
    """Return the part of a host's state that ``caller`` may see, or None."""
    if status is None or caller.may(rules.SHOW_HOST_STATUS):
        return status
    return status if status == "UNKNOWN" and caller.may(rules.SHOW_HOST_UNKNOWN) else None
