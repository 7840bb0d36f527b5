"""Cells that fell silent: nobody waits for them again until a look of our own has found them back.

A question that was late or refused opens a cell's breaker. From then on the cell is looked at once a second, on new
connections and beside all requests, so that neither a packet lost for ever nor a pool of dead connections keeps it down
for longer.
"""

import threading
from collections.abc import Callable

from nova_lite import errors
from nova_lite.cells.registry import OpenCell
from nova_lite.cells.unusable import UnusableDatabase
from nova_lite.storage import Database

#: Seconds between two looks at a silent cell, and what one look may take to connect.
_LOOK_EVERY_S = 1.0
_CONNECT_S = 2.0


class Breaker:
    """Which cells are silent. Safe for threads.

    ``run`` carries out work on another thread; ``is_current`` says whether a cell is still there, at the same URL.
    """

    def __init__(
        self,
        run: Callable[[Callable[[OpenCell], None], OpenCell], object],
        is_current: Callable[[OpenCell], bool],
    ) -> None:
        self._run = run
        self._is_current = is_current
        self._lock = threading.Lock()
        self._silent: set[str] = set()
        self._stopped = threading.Event()

    def is_open(self, cell_uuid: str) -> bool:
        """Return whether a cell is silent."""
        return cell_uuid in self._silent

    def trip(self, cell: OpenCell, *, look_at_once: bool = False) -> None:
        """Note that a cell has not answered in time; ``look_at_once`` where one connection may have died alone."""
        with self._lock:
            if cell.cell.uuid in self._silent or self._stopped.is_set():
                return
            self._silent.add(cell.cell.uuid)
        self._run(self._look_after_refusal if look_at_once else self._look_after, cell)

    def reset(self, cell_uuid: str) -> None:
        """Note that a cell has answered after all."""
        self._silent.discard(cell_uuid)

    def look(self, cell: OpenCell) -> bool:
        """Return whether a silent cell answers now; then it is silent no more."""
        if not _answers(cell):
            return False
        # What is pooled may be dead without knowing.
        cell.db.close()
        self.reset(cell.cell.uuid)
        return True

    def stop(self) -> None:
        """End all looks."""
        self._stopped.set()

    def _look_after_refusal(self, cell: OpenCell) -> None:
        if not self.look(cell):
            self._look_after(cell)

    def _look_after(self, cell: OpenCell) -> None:
        uuid = cell.cell.uuid
        while uuid in self._silent and not self._stopped.wait(_LOOK_EVERY_S):
            if not self._is_current(cell):
                self.reset(uuid)
            else:
                self.look(cell)


def _answers(cell: OpenCell) -> bool:
    """Return whether a cell's database answers on a new connection."""
    if isinstance(cell.db, UnusableDatabase):
        return False
    database = Database(cell.db.url.render_as_string(hide_password=False), pool_size=1, connect_timeout_s=_CONNECT_S)
    try:
        database.ping()
    except errors.Unavailable:
        return False
    finally:
        database.close()
    return True
