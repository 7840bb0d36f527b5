"""Instances and where they are said to be: map those that a cell holds, and verify one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.cells.offline import CellDatabases
from nova_lite.db.repositories import mappings, unmapped
from nova_lite.model.host import Cell
from nova_lite.storage import Database, TryAgain, retried

#: Instances mapped in one transaction.
BATCH = 50


@dataclass(frozen=True, slots=True)
class MappedInstances:
    """What mapping came to; ``has_more`` when it was stopped before the end."""

    looked_at: int
    mapped: int
    has_more: bool


def map_instances(
    api_db: Database,
    cell_db: Database,
    cell: Cell,
    *,
    max_count: int | None = None,
    is_reset: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> MappedInstances:
    """Map the live instances of a cell that are mapped nowhere, from where the last run stopped.

    Looks at ``max_count`` instances at most. Several runs at once share the work. ``is_reset`` begins anew.
    """
    _begin(api_db, cell, is_reset=is_reset)
    looked_at = mapped = 0
    while True:
        limit = BATCH if max_count is None else min(BATCH, max_count - looked_at)
        batch = _map_batch(api_db, cell_db, cell, limit)
        looked_at += batch.looked_at
        mapped += batch.mapped
        tell(f"{looked_at} servers looked at, {mapped} mapped")
        if not batch.has_more or looked_at == max_count:
            return MappedInstances(looked_at, mapped, batch.has_more)


@retried
def _begin(api_db: Database, cell: Cell, *, is_reset: bool) -> None:
    with api_db.writer() as session:
        try:
            unmapped.begin_marker(session, cell.uuid, is_reset=is_reset)
        except IntegrityError as exc:
            raise TryAgain("Somebody else began at the same moment, or the cell was deleted.") from exc


@retried
def _map_batch(api_db: Database, cell_db: Database, cell: Cell, limit: int) -> MappedInstances:
    with api_db.writer() as session:
        after = unmapped.locked_marker(session, cell.uuid)
        with cell_db.reader() as cell_session:
            found = unmapped.page(cell_session, after=after, limit=limit + 1)
        batch = found[:limit]
        if not batch:
            return MappedInstances(0, 0, has_more=False)
        try:
            mapped = unmapped.add_missing(session, cell.uuid, batch)
        except IntegrityError as exc:
            raise TryAgain("Somebody else mapped one of them at the same moment, or the cell was deleted.") from exc
        unmapped.move_marker(session, cell.uuid, batch[-1].row_id)
    return MappedInstances(len(batch), mapped, has_more=len(found) > limit)


class Verdict(Enum):
    """What was found out about an instance and its mapping."""

    FINE = "is mapped to cell {cell} and lives there."
    UNMAPPED = "is not mapped; does it exist?"
    NO_CELL = "is mapped, and no cell was chosen for it yet."
    DELETED = "is mapped to cell {cell}, where it was deleted."
    ARCHIVED = "is mapped to cell {cell}, which has no record of it any more."


def verify(api_db: Database, cells: CellDatabases, uuid: str) -> tuple[Verdict, str]:
    """Return whether an instance is where its mapping says, and how people call that cell.

    Raises Unavailable when that cell does not answer.
    """
    with api_db.reader() as session:
        try:
            mapping = mappings.instance(session, uuid)
        except errors.NotFound:
            return Verdict.UNMAPPED, ""
    cell = next((cell for cell in cells.cells if cell.uuid == mapping.cell_uuid), None)
    if cell is None:
        return Verdict.NO_CELL, ""
    title = cell.name or cell.uuid
    answer = cells.ask(cell, lambda session: [unmapped.is_alive(session, uuid)])
    if answer is None:
        raise errors.Unavailable(f"Cell {title} does not answer: {cells.down[cell.uuid]}", is_named=True)
    verdicts = {True: Verdict.FINE, False: Verdict.DELETED, None: Verdict.ARCHIVED}
    return verdicts[answer[0]], title
