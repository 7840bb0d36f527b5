"""How cells look."""

from collections.abc import Sequence

import falcon

from nova_lite.api.services.cells import CellHealth
from nova_lite.api.views.compute_services import state, status
from nova_lite.api.views.fields import Field, View, timestamp

_CELL = View[CellHealth](
    Field("uuid", lambda health: health.cell.uuid),
    Field("name", lambda health: health.cell.name),
    Field("status", lambda health: status(health.cell.is_disabled)),
    Field("state", lambda health: state(health.failure is None)),
    Field("latency_ms", lambda health: None if health.latency_s is None else round(health.latency_s * 1000, 1)),
    Field("hosts", lambda health: health.hosts),
    Field("hosts_up", lambda health: health.hosts_up),
    Field("conductors_up", lambda health: health.conductors_up),
    Field("instances", lambda health: health.servers),
    Field("down_since", lambda health: timestamp(health.silent_since)),
    Field("last_error", lambda health: health.failure),
)


def many(req: falcon.Request, found: Sequence[CellHealth]) -> dict[str, object]:
    """Return the document of all cells."""
    return {"cells": [_CELL.render(each, req.context.version) for each in found]}
