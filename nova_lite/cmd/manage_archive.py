"""``db archive_deleted_rows`` and ``db purge``: put dead servers away. The rules: ``cells/archiving.py``.

Both work on the database of ``[database]``, or with ``--all-cells`` on that of every cell, cell0 among them.
"""

import argparse
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nova_lite import errors
from nova_lite.cells import archiving, setup
from nova_lite.cells.archiving import Archiver
from nova_lite.cells.offline import CellDatabases
from nova_lite.cmd.arguments import add_command, add_format, add_verbose, seconds
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import complain, reason, rendered
from nova_lite.cmd.progress import Progress
from nova_lite.db import migrate
from nova_lite.db.repositories.archive import Rows
from nova_lite.model.host import Cell
from nova_lite.storage import Database

_SOME, _BAD_MAX_ROWS, _NO_API_DB, _BAD_DATE, _BROKEN = 1, 2, 3, 4, 255
_NO_ARGUMENTS, _PURGE_BAD_DATE, _NOTHING, _PURGE_NO_API_DB = 1, 2, 3, 4
_MAX_ROWS = 2**31 - 1
_API = "API database"
#: How ``date`` and people write a time; without a zone it is UTC.
_DATES = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%a %d %b %Y %H:%M:%S",
    "%a %d %b %Y %I:%M:%S %p",
)


@dataclass(slots=True)
class _Place:
    """A database to work on, and the cell it is of, if a mapping names it."""

    title: str
    database: Database
    cell: Cell | None


def add_commands(commands: Any) -> None:
    """Add the commands to the category."""
    command = add_command(
        commands,
        "archive_deleted_rows",
        _archive,
        "move deleted servers out of the tables that are in use",
        description="Moves the rows of deleted servers, their actions and their finished workflows to the shadow "
        "tables of the same database, and deletes what the API database has of them. A server that a workflow still "
        "works on is left for the next run. May run beside any load, several at once, and again after it was stopped; "
        "lists and everything that lives are not touched, but deleted servers are not shown any more once they are "
        "archived.\n\n"
        "Works on the database of [database], in most installations cell0's; see --all-cells. Needs [api_database].",
        codes="0 nothing was archived; 1 rows were archived, run it again until it returns 0; 2 a bad --max_rows; 3 "
        "the API database is not configured or does not answer; 4 a bad --before; 255 a database failed",
        example='db archive_deleted_rows --all-cells --until-complete --before "2026-01-31"',
    )
    command.add_argument(
        "--max_rows",
        "--max-rows",
        metavar="N",
        default="1000",
        help="stop after N rows, by default 1000; the rows of one server go together",
    )
    _add_before(command, "archive servers that were deleted before this time only")
    command.add_argument(
        "--until-complete",
        "--until_complete",
        action="store_true",
        help="go on, N rows at a time, until nothing is left to archive",
    )
    command.add_argument(
        "--purge", action="store_true", help="then delete all that is in the shadow tables, whenever it was archived"
    )
    _add_all_cells(command)
    command.add_argument(
        "--task-log",
        "--task_log",
        action="store_true",
        help="also archive the task log; there is none in this release, so this changes nothing",
    )
    command.add_argument(
        "--sleep",
        metavar="SECONDS",
        type=seconds,
        default=0.0,
        help="with --until-complete: seconds to rest after every N rows, by default 0",
    )
    add_verbose(command, "print how many rows of each table were moved")
    add_format(command)

    command = add_command(
        commands,
        "purge",
        _purge,
        "delete what was archived",
        description="Deletes servers and all that was archived with them from the shadow tables, for ever. May run "
        "beside any load, several at once, and again after it was stopped. Works on the database of [database]; see "
        "--all-cells.",
        codes="0 rows were deleted; 1 neither --all nor --before was given; 2 a bad --before; 3 there was nothing to "
        "delete; 4 with --all-cells: the API database is not configured or does not answer; 255 a database failed",
        example='db purge --all-cells --before "2026-01-31 12:00:00"',
    )
    command.add_argument("--all", action="store_true", help="delete all that was archived")
    _add_before(command, "delete servers that were deleted before this time only, also with --all")
    _add_all_cells(command)
    add_verbose(command, "print how many rows of each table were deleted")
    add_format(command)


def _add_before(command: argparse.ArgumentParser, help_text: str) -> None:
    command.add_argument(
        "--before",
        metavar="DATE",
        help=f"{help_text}: YYYY-MM-DD [HH:MM:SS], or as the command date prints it; UTC where it says no zone",
    )


def _add_all_cells(command: argparse.ArgumentParser) -> None:
    command.add_argument("--all-cells", "--all_cells", action="store_true", help="work on every cell, and cell0")


def _archive(installation: Installation, arguments: argparse.Namespace) -> int:
    try:
        max_rows = int(arguments.max_rows)
    except ValueError:
        max_rows = 0
    if not 0 < max_rows <= _MAX_ROWS:
        complain(f"--max_rows must be a number from 1 to {_MAX_ROWS}, not {arguments.max_rows}.")
        return _BAD_MAX_ROWS
    try:
        before = _moment(arguments.before)
    except errors.Invalid as exc:
        complain(exc.message)
        return _BAD_DATE
    with contextlib.ExitStack() as stack:
        try:
            api_db = stack.enter_context(installation.api_db())
            migrate.require(api_db, "api")
            cells = stack.enter_context(CellDatabases(api_db, installation.local_urls))
        except errors.NovaLiteError as exc:
            complain(reason(exc))
            return _NO_API_DB
        work = _Archiving(api_db, cells, max_rows, before, arguments)
        try:
            return work.run(_places(installation, cells, is_everywhere=arguments.all_cells))
        except errors.NovaLiteError as exc:
            complain(reason(exc))
            return _BROKEN


class _Archiving:
    """One run of ``archive_deleted_rows``."""

    def __init__(
        self,
        api_db: Database,
        cells: CellDatabases,
        max_rows: int,
        before: datetime | None,
        arguments: argparse.Namespace,
    ) -> None:
        self._api_db = api_db
        self._cells = cells
        self._max_rows = max_rows
        self._before = before
        self._arguments = arguments
        self._tell = Progress("nova-lite-manage db archive_deleted_rows")
        #: Database, table → rows.
        self._moved: Counter[tuple[str, str]] = Counter()
        self._purged = 0
        #: Whether as many rows were moved as were asked for.
        self._is_full = False

    def run(self, places: Iterator[_Place]) -> int:
        """Archive in one database after the other; one that fails does not keep the others from being cleaned."""
        failures: list[str] = []
        for place in places:
            try:
                self._archive(place)
                if self._arguments.purge:
                    self._purged += archiving.purge(place.database, tell=self._tell).total()
            except errors.NovaLiteError as exc:
                failures.append(f"{place.title}: {reason(exc)}")
        failures += _silent(self._cells)
        self._say()
        for failure in failures:
            complain(failure)
        return _BROKEN if failures else _SOME if self._moved else 0

    def _archive(self, place: _Place) -> None:
        archiver = Archiver(self._api_db, place.database, place.cell, self._cells)
        is_whole = self._arguments.until_complete
        while not self._is_full:
            room = self._max_rows if is_whole else self._max_rows - self._moved_in_cells
            done = archiver.run(room, before=self._before, tell=self._tell)
            self._moved.update({(place.title, table): rows for table, rows in done.moved.items()})
            self._moved.update({(_API, table): rows for table, rows in done.forgotten.items()})
            if not done.is_cut:
                return
            if is_whole:
                time.sleep(self._arguments.sleep)
            else:
                self._is_full = True

    @property
    def _moved_in_cells(self) -> int:
        return sum(rows for (title, _), rows in self._moved.items() if title != _API)

    def _say(self) -> None:
        _say_rows(self._moved, self._arguments)
        if self._arguments.format == "table":
            forgotten = self._moved.total() - self._moved_in_cells
            print(f"{self._moved_in_cells} rows archived, {forgotten} deleted from the API database." if self._moved
                  else "Nothing was archived.")  # fmt: skip
            if self._arguments.purge:
                print(f"{self._purged} archived rows deleted.")


def _purge(installation: Installation, arguments: argparse.Namespace) -> int:
    if not arguments.all and arguments.before is None:
        complain("Say what to delete: --all, or --before with a date.")
        return _NO_ARGUMENTS
    try:
        before = _moment(arguments.before)
    except errors.Invalid as exc:
        complain(exc.message)
        return _PURGE_BAD_DATE
    with contextlib.ExitStack() as stack:
        cells = None
        if arguments.all_cells:
            try:
                api_db = stack.enter_context(installation.api_db())
                migrate.require(api_db, "api")
                cells = stack.enter_context(CellDatabases(api_db, installation.local_urls))
            except errors.NovaLiteError as exc:
                complain(reason(exc))
                return _PURGE_NO_API_DB
        places = _places(installation, cells, is_everywhere=arguments.all_cells)
        try:
            return _purge_all(places, cells, before, arguments)
        except errors.NovaLiteError as exc:
            complain(reason(exc))
            return _BROKEN


def _purge_all(
    places: Iterator[_Place], cells: CellDatabases | None, before: datetime | None, arguments: argparse.Namespace
) -> int:
    tell = Progress("nova-lite-manage db purge")
    deleted: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    for place in places:
        try:
            rows: Rows = archiving.purge(place.database, before=before, tell=tell)
            deleted.update({(place.title, table): number for table, number in rows.items()})
        except errors.NovaLiteError as exc:
            failures.append(f"{place.title}: {reason(exc)}")
    failures += _silent(cells)
    _say_rows(deleted, arguments)
    if arguments.format == "table":
        print(f"{deleted.total()} rows deleted." if deleted else "Nothing was deleted.")
    for failure in failures:
        complain(failure)
    return _BROKEN if failures else 0 if deleted else _NOTHING


def _places(installation: Installation, cells: CellDatabases | None, *, is_everywhere: bool) -> Iterator[_Place]:
    """Yield the databases to work on, one after the other; ``cells.down`` says which could not be opened."""
    if is_everywhere and cells is not None:
        for cell in cells.cells:
            database = cells.database(cell)
            if database is not None:
                yield _Place(setup.title(cell), database, cell)
        return
    with opened(migrate.TITLES["cell"], installation.connection("database")) as database:
        migrate.require(database, "cell")
        named = None if cells is None else cells.at(database)
        yield _Place("database" if named is None else setup.title(named), database, named)


def _silent(cells: CellDatabases | None) -> list[str]:
    """Return a sentence on each cell that did not answer."""
    if cells is None:
        return []
    down = [cell for cell in cells.cells if cell.uuid in cells.down]
    return [f"Cell {setup.title(cell)} could not be looked at: {cells.down[cell.uuid]}" for cell in down]


def _say_rows(rows: Counter[tuple[str, str]], arguments: argparse.Namespace) -> None:
    found = [(*where, number) for where, number in sorted(rows.items())]
    if arguments.format != "table" or (arguments.verbose and found):
        print(rendered(("Database", "Table", "Rows"), found, arguments.format))


def _moment(text: str | None) -> datetime | None:
    """Return a time as naive UTC; raises Invalid for what is none."""
    if text is None:
        return None
    words, offset = _zone(text.split())
    for form in _DATES:
        with contextlib.suppress(ValueError, OverflowError):
            return datetime.strptime(" ".join(words), form) - offset  # noqa: DTZ007 - the zone was taken off
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise errors.Invalid(f"--before must be YYYY-MM-DD [HH:MM:SS], or what date prints, not {text!r}.") from None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _zone(words: list[str]) -> tuple[list[str], timedelta]:
    """Return words without the name of their zone, and what it is ahead of UTC."""
    for place, word in enumerate(words):
        if word in ("UTC", "GMT", "Z"):
            return words[:place] + words[place + 1 :], timedelta(0)
        if word in time.tzname:
            ahead = -(time.altzone if word == time.tzname[1] and time.daylight else time.timezone)
            return words[:place] + words[place + 1 :], timedelta(seconds=ahead)
    return words, timedelta(0)
