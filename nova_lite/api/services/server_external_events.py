"""What other services tell of servers: taken, or refused one by one, and acted on where there is something to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.server_lookup import Located, ServerLookup
from nova_lite.cells import rebuilds, volumes
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.model.caller import Caller
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried

_EXTENDED, _REIMAGED = "volume-extended", "volume-reimaged"
#: Events that say by their tag what they are about.
_TAGGED = (_EXTENDED, "power-update", "accelerator-request-bound")


@dataclass(frozen=True, slots=True)
class Event:
    """What is told: ``tag`` names what of the server it is about, a volume's id where that has grown."""

    name: str
    server_id: str
    tag: str | None = None


class ServerExternalEventService:
    """Takes events. Of volumes that have grown, or were filled anew, something is done: servers have nothing else."""

    def __init__(self, conf: cfg.ConfigOpts, lookup: ServerLookup) -> None:
        self._conf = conf
        self._lookup = lookup

    def take(self, caller: Caller, events: Sequence[Event]) -> list[int]:
        """Return for each event a status as of HTTP; raises Unavailable when a server's cell does not answer."""
        # All are looked for first: while one cannot be, nothing is begun.
        known = {uuid: self._find(uuid) for uuid in dict.fromkeys(event.server_id for event in events)}
        return [self._taken(caller, event, known[event.server_id]) for event in events]

    def _find(self, uuid: str) -> Located | None:
        try:
            return self._lookup.find_for_services(uuid)
        except errors.NotFound:
            return None

    def _taken(self, caller: Caller, event: Event, located: Located | None) -> int:
        if located is None:
            return 404
        if event.name in _TAGGED and event.tag is None:
            return 400
        if located.cell is None or located.instance.host is None:
            return 422
        if event.name == _EXTENDED:
            return self._extend(caller, located.cell, event)
        if event.name == _REIMAGED:
            _wake_waiting(located.cell, event)
        return 200

    def _extend(self, caller: Caller, cell: OpenCell, event: Event) -> int:
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        try:
            begun = _begin_extend(cell, event, requester, timeout_s=self._conf.operation_timeout)
        except errors.NotFound:
            return 404
        ConductorClient(cell.bus).wake(begun.uuid)
        return 200


def _wake_waiting(cell: OpenCell, event: Event) -> None:
    """Have who waits look at the volume: that, not the event, says whether it is filled."""
    for uuid in _hasten(cell, event):
        ConductorClient(cell.bus).wake(uuid)


@retried
def _hasten(cell: OpenCell, event: Event) -> list[str]:
    with cell.db.writer() as session:
        return rebuilds.hasten_reimage(session, event.server_id)


@retried
def _begin_extend(cell: OpenCell, event: Event, requester: Requester, *, timeout_s: float) -> Workflow:
    with cell.db.writer() as session:
        return volumes.begin_extend(session, event.server_id, event.tag or "", requester, timeout_s=timeout_s)
