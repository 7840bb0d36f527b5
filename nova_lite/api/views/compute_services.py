"""How services look."""

from collections.abc import Sequence

import falcon

from nova_lite.api.services.compute_services import PlacedService
from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.db.repositories import hosts

_SERVICE = View[PlacedService](
    Field("id", lambda placed: placed.service.number, until="2.52"),
    Field("id", lambda placed: placed.service.uuid, since="2.53"),
    Field("binary", lambda placed: placed.service.binary),
    Field("host", lambda placed: placed.service.host),
    Field("zone", lambda placed: placed.zone),
    Field("status", lambda placed: status(placed.service.is_disabled)),
    Field("state", lambda placed: state(placed.service.is_up)),
    Field("updated_at", lambda placed: timestamp(placed.service.updated_at or placed.service.created_at)),
    Field("disabled_reason", lambda placed: placed.service.disabled_reason),
    Field("forced_down", lambda placed: placed.service.is_forced_down, since="2.11"),
)


def status(is_disabled: bool) -> str:
    """Return the word for what operators want of a service."""
    return "disabled" if is_disabled else "enabled"


def state(is_up: bool) -> str:
    """Return the word for whether a service lives."""
    return "up" if is_up else "down"


def one(req: falcon.Request, placed: PlacedService) -> dict[str, object]:
    """Return the document of one service."""
    return {"service": _SERVICE.render(placed, req.context.version)}


def many(req: falcon.Request, found: Sequence[PlacedService], silent_hosts: Sequence[str]) -> dict[str, object]:
    """Return the document of many services; of hosts in cells that do not answer only the name is known."""
    shown = [_SERVICE.render(placed, req.context.version) for placed in found]
    return {"services": shown + [_unknown(host) for host in silent_hosts]}


def changed(placed: PlacedService, *, with_reason: bool = False, with_forced_down: bool = False) -> dict[str, object]:
    """Return the document of a service changed by host and binary: only what was asked for."""
    service = placed.service
    shown: dict[str, object] = {"host": service.host, "binary": service.binary}
    if with_forced_down:
        return {"service": {**shown, "forced_down": service.is_forced_down}}
    shown["status"] = status(service.is_disabled)
    if with_reason:
        shown["disabled_reason"] = service.disabled_reason
    return {"service": shown}


def _unknown(host: str) -> dict[str, object]:
    return {"binary": hosts.AGENT, "host": host, "status": "UNKNOWN"}
