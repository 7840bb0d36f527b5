"""The cells there are, and an open database and bus for each.

Mappings are read again when they are older than ``[cells] refresh_interval``, so that every process sees a cell added,
changed or disabled within seconds. A database or bus whose URL changed is opened anew, and the old one closed when
nobody can be using it any more. A mapping that cannot be used is a cell that is down, until it is mended.
"""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.cells import templates
from nova_lite.cells.unusable import UnusableBus, UnusableDatabase
from nova_lite.db.repositories import mappings
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.rpc import transport_url as transport_urls
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database

LOG = logging.getLogger(__name__)

#: Seconds after which no question is under way any more in a database or on a bus that was replaced.
GRACE_S = 120.0


@dataclass(frozen=True, slots=True)
class OpenCell:
    """A cell with its database and bus; both connect on first use. cell0's bus is never used."""

    cell: Cell
    db: Database
    bus: Bus


@dataclass(frozen=True, slots=True)
class _Retired:
    """A database or bus that no mapping names any more."""

    title: str
    connections: Database | Bus
    close_at: float


class Cells:
    """Every cell, opened as needed."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database) -> None:
        self._conf = conf
        self._api_db = api_db
        self._lock = threading.Lock()
        self._open: dict[str, OpenCell] = {}
        self._hosts: dict[str, str] = {}
        self._read_at = float("-inf")
        #: Another one each time that what was read is to be forgotten, and the one in which it was read.
        self._era = object()
        self._read_in: object = None
        self._retired: list[_Retired] = []
        #: Nobody asks these cells any more.
        self.is_closed = False

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

    def require_cell0(self) -> None:
        """Raise Misconfigured when cell0 is not mapped."""
        _ = self.cell0

    def of_hosts(self, named: Iterable[str] = ()) -> dict[str, str]:
        """Return host → cell UUID for every mapped host.

        When one of those ``named`` is unknown the mappings are read again: it may have been mapped a moment ago.
        """
        self._refresh()
        if not self._hosts.keys() >= set(named):
            self._refresh(now=True)
        return self._hosts

    def forget(self) -> None:
        """Read the mappings again at the next question; what is just being read does not answer that one."""
        self._era = object()

    def close(self) -> None:
        """Close every cell's connections, also those that were replaced."""
        self.is_closed = True
        with self._lock:
            for opened in self._open.values():
                self._retire(opened.cell, opened.bus)
                self._retire(opened.cell, opened.db)
            gone, self._retired, self._open = self._retired, [], {}
            self.forget()
        _close(gone)

    def _refresh(self, *, now: bool = False) -> None:
        if not now and self._is_fresh():
            return
        with self._lock:
            if not now and self._is_fresh():
                return
            era = self._era
            with self._api_db.reader() as session:
                cells = mappings.cells(session)
                self._hosts = mappings.hosts(session)
            before = self._open
            self._open = {cell.uuid: self._kept_or_opened(cell) for cell in cells}
            for uuid, opened in before.items():
                after = self._open.get(uuid)
                if after is None or after.bus is not opened.bus:
                    self._retire(opened.cell, opened.bus)
                if after is None or after.db is not opened.db:
                    self._retire(opened.cell, opened.db)
            self._read_at, self._read_in = concurrency.monotonic(), era
            due = [one for one in self._retired if one.close_at <= self._read_at]
            if due:
                self._retired = [one for one in self._retired if one not in due]
                # Apart, for a dead server may take long to be left.
                threading.Thread(target=_close, args=(due,), name="closing-cells", daemon=True).start()

    def _is_fresh(self) -> bool:
        is_young = concurrency.monotonic() - self._read_at < float(self._conf.cells.refresh_interval)
        return is_young and self._read_in is self._era

    def _kept_or_opened(self, cell: Cell) -> OpenCell:
        known = self._open.get(cell.uuid)
        if known is not None and known.cell == cell:
            return known
        keeps_db = known is not None and known.cell.database_connection == cell.database_connection
        keeps_bus = known is not None and known.cell.transport_url == cell.transport_url
        return OpenCell(
            cell,
            db=known.db if known is not None and keeps_db else self._database(cell),
            bus=known.bus if known is not None and keeps_bus else self._bus(cell),
        )

    def _database(self, cell: Cell) -> Database:
        try:
            return Database(templates.connection(cell, templates.local_urls(self._conf)))
        except errors.Misconfigured as exc:
            return UnusableDatabase(_complain(cell, "database", exc))

    def _bus(self, cell: Cell) -> Bus:
        try:
            url = templates.transport_url(cell, templates.local_urls(self._conf))
            if not cell.is_cell0:
                transport_urls.checked(url)
            return Bus(self._conf, url)
        except errors.Misconfigured as exc:
            return UnusableBus(self._conf, _complain(cell, "message bus", exc))

    def _retire(self, cell: Cell, connections: Database | Bus) -> None:
        self._retired.append(_Retired(cell.name or cell.uuid, connections, concurrency.monotonic() + GRACE_S))


def _complain(cell: Cell, what: str, exc: errors.Misconfigured) -> str:
    why = f"The {what} in the mapping of cell {cell.name or cell.uuid} cannot be used: {exc.message}"
    LOG.error("%s", why)
    return why


def _close(retired: list[_Retired]) -> None:
    for one in retired:
        try:
            one.connections.close()
        except Exception:  # whatever a driver says of a server that is gone; nobody waits for an answer
            LOG.warning("Connections to cell %s could not be closed well", one.title, exc_info=True)
