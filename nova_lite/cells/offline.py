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
from nova_lite.storage import Database, checked_url

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
        database = self.database(cell)
        if database is None:
            return None
        try:
            with database.reader() as session:
                return question(session)
        except errors.Unavailable as exc:
            self.give_up(cell, exc)
            return None

    def database(self, cell: Cell) -> Database | None:
        """Return a cell's database, open and with the tables of this release; None when it is down."""
        if cell.uuid not in self._open and cell.uuid not in self.down:
            try:
                database = Database(templates.connection(cell, self._local))
                self._open[cell.uuid] = database
                migrate.require(database, "cell")
            except (errors.Unavailable, errors.Misconfigured) as exc:
                self.give_up(cell, exc)
        return None if cell.uuid in self.down else self._open[cell.uuid]

    def give_up(self, cell: Cell, exc: errors.NovaLiteError) -> None:
        """Note that a cell is down, and why."""
        cause = exc.facts.get("cause")
        self.down[cell.uuid] = f"{exc.message} {cause}" if cause else exc.message

    def at(self, database: Database) -> Cell | None:
        """Return the cell whose mapping names a database, whoever it logs in as; None when none does."""
        for cell in self.cells:
            try:
                url = checked_url(templates.connection(cell, self._local))
            except errors.Misconfigured:
                continue
            if setup.place_of(url) == setup.place_of(database.url):
                return cell
        return None
