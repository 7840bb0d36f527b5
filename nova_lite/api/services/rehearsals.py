"""Rehearsing moves of servers: what quota and scheduler would say, with nothing claimed and nothing written."""

from dataclasses import dataclass

from nova_lite.cells import respecs
from nova_lite.cells.registry import OpenCell
from nova_lite.db.repositories import build_requests, mappings
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import Decision
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database

#: Seconds the scheduler gets.
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Rehearsal:
    """What a request would come to: why it is over quota, or None, and what the scheduler would decide."""

    over_quota: str | None
    decision: Decision


class Rehearsals:
    """Asks the scheduler where servers would come that are there already."""

    def __init__(self, api_db: Database, bus: Bus) -> None:
        self._api_db = api_db
        self._bus = bus

    def move(
        self, instance: Instance, cell: OpenCell, flavor: Flavor, *, host: str | None, may_stay: bool = False
    ) -> Decision:
        """Return where a server would move; raises Unavailable when the scheduler does not answer."""
        with self._api_db.reader() as session:
            asked = build_requests.spec(session, instance.uuid)
            group = mappings.instance(session, instance.uuid).group
        not_on = () if may_stay or instance.host is None else (instance.host,)
        spec = respecs.again(
            instance, asked, cell_uuid=cell.cell.uuid, group=group, flavor=flavor, host=host, not_on=not_on
        )
        return SchedulerClient(self._bus).choose(spec, instance.uuid, timeout_s=_TIMEOUT_S)

    def unshelving(
        self, instance: Instance, cell: OpenCell, pin: dict[str, str | None] | None, host: str | None
    ) -> Decision:
        """Return where an offloaded server would come; raises Unavailable when the scheduler does not answer."""
        with self._api_db.reader() as session:
            asked = build_requests.spec(session, instance.uuid)
            group = mappings.instance(session, instance.uuid).group
        spec = respecs.unshelved(instance, asked, pin, cell_uuid=cell.cell.uuid, group=group, host=host)
        return SchedulerClient(self._bus).choose(spec, instance.uuid, timeout_s=_TIMEOUT_S)
