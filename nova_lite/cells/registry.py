"""The cells there are, and an open database and bus for each.

Mappings are read again when they are older than ``[cells] refresh_interval``, so that every process sees a cell added,
changed or disabled within seconds. A cell whose URLs changed gets new connections, the others keep theirs.
"""

import threading
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.db.repositories import mappings
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database


@dataclass(frozen=True, slots=True)
class OpenCell:
    """A cell with its database and bus; both connect on first use. cell0's bus is never used."""

    cell: Cell
    db: Database
    bus: Bus


class Cells:
    """Every cell, opened as needed."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database) -> None:
        self._conf = conf
        self._api_db = api_db
        self._lock = threading.Lock()
        self._open: dict[str, OpenCell] = {}
        self._hosts: dict[str, str] = {}
        self._read_at = float("-inf")

    def all(self, *, with_cell0: bool = True) -> list[OpenCell]:
        """Return every cell, cell0 first."""
        self._refresh()
        return [opened for opened in self._open.values() if with_cell0 or not opened.cell.is_cell0]

    def get(self, uuid: str) -> OpenCell:
        """Return one cell; raises Unavailable when no mapping names it."""
        self._refresh()
        opened = self._open.get(uuid)
        if opened is None:
            self._refresh(now=True)
            opened = self._open.get(uuid)
        if opened is None:
            raise errors.Unavailable("The server's cell is not known here.", cell=uuid)
        return opened

    @property
    def cell0(self) -> OpenCell:
        """Return cell0; raises Misconfigured when it is not mapped."""
        try:
            return self.get(CELL0_UUID)
        except errors.Unavailable as exc:
            raise errors.Misconfigured("cell0 is not mapped; run: nova-lite-manage cell_v2 map_cell0") from exc

    def of_hosts(self) -> dict[str, str]:
        """Return host → cell UUID for every mapped host."""
        self._refresh()
        return self._hosts

    def forget(self) -> None:
        """Read the mappings again at the next question."""
        self._read_at = float("-inf")

    def close(self) -> None:
        """Close every cell's connections."""
        with self._lock:
            for opened in self._open.values():
                opened.bus.close()
                opened.db.close()
            self._open = {}
            self.forget()

    def _refresh(self, *, now: bool = False) -> None:
        if not now and concurrency.monotonic() - self._read_at < self._conf.cells.refresh_interval:
            return
        with self._lock:
            with self._api_db.reader() as session:
                cells = mappings.cells(session)
                self._hosts = mappings.hosts(session)
            self._open = {cell.uuid: self._kept_or_opened(cell) for cell in cells}
            self._read_at = concurrency.monotonic()

    def _kept_or_opened(self, cell: Cell) -> OpenCell:
        known = self._open.get(cell.uuid)
        if known is not None and known.cell == cell:
            return known
        if known is not None and (known.cell.transport_url, known.cell.database_connection) == (
            cell.transport_url,
            cell.database_connection,
        ):
            return OpenCell(cell, known.db, known.bus)
        return OpenCell(cell, Database(cell.database_connection), Bus(self._conf, cell.transport_url))
