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


class HostStatusSight:
    """What a caller may see of the states of hosts; asks policy once, however many servers there are."""

    def __init__(self, caller: Caller) -> None:
        self._sees_all = caller.may(rules.SHOW_HOST_STATUS)
        self._sees_unknown = self._sees_all or caller.may(rules.SHOW_HOST_UNKNOWN)

    @property
    def sees_any(self) -> bool:
        """Whether there is any state the caller may see."""
        return self._sees_unknown

    def of(self, status: str | None) -> str | None:
        """Return ``status`` if the caller may see it, else None."""
        return status if self._sees_all or (self._sees_unknown and status == "UNKNOWN") else None
