"""What cells and the API database say of hosts, remembered between requests, and asked for again when it changed.

Each request asks each database for one number, which grows with every change of what is remembered here: see
``host_changes.py`` and ``mapping_changes.py`` in ``db/repositories``. Heartbeats do not count: a host that is up is
known to be so until its last one grows too old, and when the first of them does, the cell is read again. So what a
request sees is what it would have read itself.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import concurrency
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import host_changes, hosts, mapping_changes, zones
from nova_lite.model.host import HostState
from nova_lite.storage import Database

#: Seconds after which all is read again though nobody told of a change: of one made by hand, or by an older release.
_KEPT_S = 30.0
#: Host → the metadata of each aggregate it is in.
Metadata = Mapping[str, Sequence[Mapping[str, str]]]


@dataclass(frozen=True, eq=False)
class CellHosts:
    """The hypervisors of a cell, as they are until ``until`` (``monotonic``) unless its ``number`` grows."""

    db: Database
    number: int
    until: float
    states: Sequence[HostState]


@dataclass(frozen=True, eq=False)
class Above:
    """What the API database says of hosts: which cell they are mapped to, and the metadata of their aggregates."""

    number: int
    until: float
    cell_of: Mapping[str, str]
    metadata: Metadata


class HostCache:
    """The hosts of all cells; safe for threads. One per process."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._reading = concurrency.KeyedLocks()
        self._cells_hosts: dict[str, CellHosts] = {}
        self._reading_above = threading.Lock()
        self._above: Above | None = None

    def of_cell(self, cell: OpenCell) -> CellHosts:
        """Return the hosts of a cell as they are now."""
        uuid = cell.cell.uuid
        with cell.db.reading() as connection:
            number = host_changes.number(connection)
        kept = self._cells_hosts.get(uuid)
        if kept is not None and kept.db is cell.db and _holds(kept, number):
            return kept
        with self._reading.hold(uuid):
            # Another may have read them meanwhile, and later than our number.
            kept = self._cells_hosts.get(uuid)
            if kept is None or kept.db is not cell.db or not _holds(kept, number):
                kept = self._cells_hosts[uuid] = self._read(cell)
        return kept

    def above(self) -> Above:
        """Return what the API database says of hosts now."""
        with self._api_db.reading() as connection:
            number = mapping_changes.number(connection)
        kept = self._above
        if kept is not None and _holds(kept, number):
            return kept
        with self._reading_above:
            kept = self._above
            if kept is None or not _holds(kept, number):
                kept = self._above = self._read_above()
        return kept

    def forget_above(self) -> None:
        """Read what the API database says again at the next question."""
        self._above = None

    def _read(self, cell: OpenCell) -> CellHosts:
        now = concurrency.monotonic()
        down_after_s = float(self._conf.service_down_time)
        with cell.db.reader() as session:
            # The number first: what changes meanwhile is then read once more, at worst.
            number = host_changes.number(session)
            lasts_s = hosts.states_last_s(session, down_after_s=down_after_s)
            states = hosts.states(session, cell.cell.uuid, down_after_s=down_after_s)
        return CellHosts(cell.db, number, now + min(_KEPT_S, _KEPT_S if lasts_s is None else lasts_s), states)

    def _read_above(self) -> Above:
        now = concurrency.monotonic()
        with self._api_db.reader() as session:
            number = mapping_changes.number(session)
            metadata = zones.metadata_of_hosts(session)
        self._cells.forget()
        return Above(number, now + _KEPT_S, self._cells.of_hosts(), metadata)


def _holds(kept: CellHosts | Above, number: int) -> bool:
    return kept.number >= number and concurrency.monotonic() < kept.until
