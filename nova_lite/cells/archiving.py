"""Archive dead servers: their rows go to the shadow tables of their cell, what the API database has of them is deleted.

The API database comes first, so that a run that is killed between the two leaves a dead server that the next run
finds again. Each batch is one short transaction in each database and takes whole servers only. Several runs at once
share the work; nothing of what users see or change is locked.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from nova_lite.cells.offline import CellDatabases
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import archive, claimants, unmapped
from nova_lite.db.repositories.archive import After, Dead, Rows
from nova_lite.model.host import Cell
from nova_lite.storage import Database, retried

#: Servers, and rows about them, that one transaction moves; a server with more rows is moved by itself.
SERVERS, ROWS = 100, 1000


@dataclass(frozen=True, slots=True)
class Archived:
    """What was moved in a cell's database, and what was deleted from the API database: table → rows."""

    moved: Rows
    forgotten: Rows
    is_cut: bool


class Archiver:
    """Archives the dead servers of one cell's database; ``cell`` is None where no mapping names it."""

    def __init__(self, api_db: Database, cell_db: Database, cell: Cell | None, others: CellDatabases) -> None:
        self._api_db = api_db
        self._cell_db = cell_db
        self._cell_uuid = None if cell is None else cell.uuid
        self._others = others
        self._after: After | None = None

    def run(
        self, max_rows: int | None, *, before: datetime | None = None, tell: Callable[[str], None] = lambda _: None
    ) -> Archived:
        """Archive servers that are dead (since ``before``) and at rest, from where the last call stopped.

        Stops once ``max_rows`` rows were moved, or would be with the next server (one is moved in any case).
        """
        moved: Rows = Counter()
        forgotten: Rows = Counter()
        while max_rows is None or moved.total() < max_rows:
            room = ROWS if max_rows is None else min(ROWS, max_rows - moved.total())
            with self._cell_db.reader() as session:
                found = archive.dead(session, after=self._after, before=before, limit=SERVERS)
            if not found:
                return Archived(moved, forgotten, is_cut=False)
            if moved and max_rows is not None and found[0].rows > room:
                break
            batch = _fitting(found, room)
            self._after = (batch[-1].created_at, batch[-1].uuid)
            may_move, may_forget = self._judged(self._at_rest([one.uuid for one in batch]))
            if may_forget:
                forgotten += _forget(self._api_db, may_forget, self._cell_uuid)
            if may_move:
                moved += _move(self._cell_db, may_move)
            tell(f"{moved.total()} rows moved")
        return Archived(moved, forgotten, is_cut=True)

    def _at_rest(self, uuids: Sequence[str]) -> list[str]:
        """Return those of ``uuids`` that no open workflow of the API database is about."""
        with self._api_db.reader() as session:
            busy = claimants.at_work(session, ApiWorkflowRow, uuids)
        return [uuid for uuid in uuids if uuid not in busy]

    def _judged(self, uuids: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return which servers may be moved, and which of them the API database may forget.

        One that is mapped to another cell, which may be this one by another URL, is not forgotten while it lives
        there, and not touched while that cell does not say; nor is one that is mapped to no cell yet.
        """
        with self._api_db.reader() as session:
            elsewhere = archive.mapped_elsewhere(session, uuids, self._cell_uuid)
        answered: set[str] = set()
        dead_there: set[str] = set()
        for cell in self._others.cells:
            mapped = [uuid for uuid, cell_uuid in elsewhere.items() if cell_uuid == cell.uuid]
            found = self._others.ask(cell, partial(archive.dead_of, uuids=mapped)) if mapped else None
            if found is not None:
                answered.update(mapped)
                dead_there |= found
        may_move = [uuid for uuid in uuids if uuid not in elsewhere or uuid in answered]
        return may_move, [uuid for uuid in may_move if uuid not in elsewhere or uuid in dead_there]


def _fitting(found: Sequence[Dead], room: int) -> Sequence[Dead]:
    """Return the first servers whose rows fit, at least one."""
    total = 0
    for number, one in enumerate(found):
        total += one.rows
        if total > room and number > 0:
            return found[:number]
    return found


@retried
def _forget(api_db: Database, uuids: Sequence[str], cell_uuid: str | None) -> Rows:
    with api_db.writer() as session:
        if cell_uuid is not None:
            # A run of map_instances that saw them alive ends first; the next one sees them dead.
            unmapped.locked_marker(session, cell_uuid)
        return archive.forget(session, uuids)


@retried
def _move(cell_db: Database, uuids: Sequence[str]) -> Rows:
    with cell_db.writer() as session:
        return archive.move(session, uuids)


def purge(cell_db: Database, *, before: datetime | None = None, tell: Callable[[str], None] = lambda _: None) -> Rows:
    """Delete archived servers (those that died ``before``) and all that was archived with them; return what was."""
    deleted: Rows = Counter()
    while True:
        batch = _purge_batch(cell_db, before)
        if batch is None:
            return deleted
        deleted += batch
        tell(f"{deleted.total()} rows deleted")


@retried
def _purge_batch(cell_db: Database, before: datetime | None) -> Rows | None:
    with cell_db.writer() as session:
        return archive.purge(session, before=before, limit=SERVERS)
