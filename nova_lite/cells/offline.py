"""The databases of all cells, opened for one command: those that answer, and why the others do not.

Unlike ``registry.py``, which daemons use, nothing is refreshed and no bus is opened. A cell that did not answer once is
down for the rest of the command, so that a command ends soon and says one thing about it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import setup, templates
from nova_lite.cells.templates import NOWHERE, LocalUrls
from nova_lite.db import migrate
from nova_lite.model.host import Cell
from nova_lite.storage import Database

T = TypeVar("T")


class CellDatabases:
    """Every cell of an installation; a context manager that closes what it opened."""

    def __init__(self, api_db: Database, local: LocalUrls = NOWHERE) -> None:
        self._local = local
        self.cells: Sequence[Cell] = setup.cells(api_db)
        #: Cell UUID → why it does not answer.
        self.down: dict[str, str] = {}
        self._open: dict[str, Database] = {}

    def __enter__(self) -> "CellDatabases":
        return self

    def __exit__(self, *exc: object) -> None:
        for database in self._open.values():
            database.close()

    def ask(self, cell: Cell, question: Callable[[Session], T]) -> T | None:
        """Return what a cell's database answers; None when it is down."""
        if cell.uuid in self.down:
            return None
        try:
            with self._database(cell).reader() as session:
                return question(session)
        except (errors.Unavailable, errors.Misconfigured) as exc:
            cause = exc.facts.get("cause")
            self.down[cell.uuid] = f"{exc.message} {cause}" if cause else exc.message
            return None

    def _database(self, cell: Cell) -> Database:
        if cell.uuid not in self._open:
            database = Database(templates.connection(cell, self._local))
            self._open[cell.uuid] = database
            migrate.require(database, "cell")
        return self._open[cell.uuid]
