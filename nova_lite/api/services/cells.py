"""How every cell is, for administrators: seen by asking all of them now, and by what is known of the silent ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from oslo_config import cfg

from nova_lite import concurrency
from nova_lite.cells.fanout import Fanout, Sighting
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import hosts, mappings
from nova_lite.model.host import Cell
from nova_lite.storage import Database


@dataclass(frozen=True)
class CellHealth:
    """A cell and how it is.

    ``hosts`` and ``servers`` are those mapped to it, known also while it is silent; ``hosts_up`` and ``conductors_up``
    are None then. ``latency_s`` is what its last answer took, ``failure`` why there is none since ``silent_since``.
    """

    cell: Cell
    hosts: int
    servers: int
    hosts_up: int | None = None
    conductors_up: int | None = None
    latency_s: float | None = None
    failure: str | None = None
    silent_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Alive:
    """Services of a cell that report: agents on hosts, and conductors."""

    agents: frozenset[str]
    conductors: int


class CellService:
    """Looks at cells."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def all(self) -> list[CellHealth]:
        """Return every cell, cell0 first."""
        cells = self._cells.all()
        with self._api_db.reader() as session:
            hosts_of = mappings.hosts(session)
            servers_in = mappings.instances_by_cell(session)
        answers = self._fanout.ask(self._alive, of=cells)
        found = []
        for opened in cells:
            uuid = opened.cell.uuid
            mapped = {host for host, cell_uuid in hosts_of.items() if cell_uuid == uuid}
            alive = answers.found.get(uuid)
            sighting = self._fanout.sighting(uuid)
            found.append(
                CellHealth(
                    opened.cell,
                    hosts=len(mapped),
                    servers=servers_in.get(uuid, 0),
                    hosts_up=None if alive is None else len(alive.agents & mapped),
                    conductors_up=None if alive is None else alive.conductors,
                    latency_s=sighting.latency_s,
                    failure=answers.down.get(uuid) and (sighting.failure or answers.down[uuid]),
                    silent_since=None if alive is not None else _moment(sighting),
                )
            )
        return found

    def _alive(self, cell: OpenCell) -> _Alive:
        with cell.db.reader() as session:
            found = hosts.services(session, down_after_s=self._conf.service_down_time)
        up = [service for service in found if service.is_up]
        agents = frozenset(service.host for service in up if service.binary == hosts.AGENT)
        return _Alive(agents, sum(service.binary == hosts.CONDUCTOR for service in up))


def _moment(sighting: Sighting) -> datetime | None:
    if sighting.silent_since is None:
        return None
    return utcnow() - timedelta(seconds=concurrency.monotonic() - sighting.silent_since)
