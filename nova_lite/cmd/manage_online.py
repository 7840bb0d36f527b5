"""``online_data_migrations`` of ``db`` and ``placement_db``: data in new shapes, while services run.

The steps themselves: ``db/online_migrations.py`` and ``placement/online_migrations.py``.
"""

import argparse
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nova_lite import errors
from nova_lite.cells import setup
from nova_lite.cells.offline import CellDatabases
from nova_lite.cmd.arguments import add_command, add_format, count
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import complain, reason, rendered
from nova_lite.cmd.progress import Progress
from nova_lite.db import migrate, online_migrations
from nova_lite.db.migrate import History
from nova_lite.db.online_migrations import API_STEPS, CELL_STEPS, Step
from nova_lite.placement.online_migrations import STEPS as PLACEMENT_STEPS
from nova_lite.storage import Database

#: History → its steps, in the order they run.
STEPS: dict[History, Mapping[str, Step]] = {"api": API_STEPS, "cell": CELL_STEPS, "placement": PLACEMENT_STEPS}
_MORE, _ONLY_FAILURES = 1, 2
_ABOUT = (
    "Changes data in batches, after a sync, while services run. May be run again, also by several, and stopped at any "
    "time. Run it until it returns 0, before the next upgrade. No release needed any so far, so it finds nothing to do."
)
_CODES = "0 nothing is left to do; 1 there is, or may be, more: run it again; 2 some failed, and nothing was changed"


@dataclass(frozen=True, slots=True)
class _Place:
    """A database whose data is brought into shape."""

    title: str
    history: History
    database: Database


def add_to_placement(commands: Any) -> None:
    """Add the command to ``placement_db``."""
    _add(commands, _run_placement, "placement_db", _ABOUT)


def add_to_cells(commands: Any) -> None:
    """Add the command to ``db``."""
    where = (
        "Works on the API database, where [api_database] names one, and on the database of [database]; with "
        "--all-cells on that of every cell, and cell0's. One that does not answer does not keep the others from being "
        "changed."
    )
    command = _add(commands, _run_cells, "db", f"{_ABOUT}\n\n{where}")
    command.add_argument("--all-cells", "--all_cells", action="store_true", help="work on every cell, and cell0")


def _add(
    commands: Any, run: Callable[[Installation, argparse.Namespace], int], category: str, description: str
) -> argparse.ArgumentParser:
    command = add_command(
        commands,
        "online_data_migrations",
        run,
        "bring data into the shape that this release wants, while services run",
        description=description,
        codes=_CODES,
        example=f"{category} online_data_migrations --max-count 1000",
    )
    command.add_argument(
        "--max-count", "--max_count", metavar="N", type=count, help="stop after N rows, by default when all is done"
    )
    add_format(command)
    return command


def _run_placement(installation: Installation, arguments: argparse.Namespace) -> int:
    work = _Migrating(arguments, "placement_db")
    with contextlib.suppress(_NotThere), _place(installation, "placement_database", "placement", work) as place:
        work.migrate(place)
    return work.end(("Migration", "Found", "Done", "Failure"))


def _run_cells(installation: Installation, arguments: argparse.Namespace) -> int:
    work = _Migrating(arguments, "db")
    if installation.has("api_database") or arguments.all_cells:
        with contextlib.suppress(_NotThere), _place(installation, "api_database", "api", work) as place:
            work.migrate(place)
            if arguments.all_cells:
                _migrate_all(installation, place.database, work)
    if not arguments.all_cells:
        with contextlib.suppress(_NotThere), _place(installation, "database", "cell", work) as place:
            work.migrate(place)
    return work.end(("Database", "Migration", "Found", "Done", "Failure"))


def _migrate_all(installation: Installation, api_db: Database, work: "_Migrating") -> None:
    with CellDatabases(api_db, installation.local_urls) as cells:
        for cell in cells.cells:
            database = cells.database(cell)
            if database is None:
                work.fail(f"Cell {setup.title(cell)} could not be looked at: {cells.down[cell.uuid]}")
            else:
                work.migrate(_Place(setup.title(cell), "cell", database))


class _NotThere(Exception):
    """A database cannot be worked on."""


@contextlib.contextmanager
def _place(installation: Installation, group: str, history: History, work: "_Migrating") -> Iterator[_Place]:
    """Yield a database that the configuration names; one that cannot be worked on is noted."""
    title = migrate.TITLES[history]
    try:
        with opened(title, installation.connection(group)) as database:
            migrate.require(database, history)
            yield _Place(title, history, database)
    except errors.NovaLiteError as exc:
        work.fail(reason(exc))
        raise _NotThere from exc


class _Migrating:
    """One run over one or several databases."""

    def __init__(self, arguments: argparse.Namespace, category: str) -> None:
        self._form = arguments.format
        self._left: int | None = arguments.max_count
        self._tell = Progress(f"nova-lite-manage {category} online_data_migrations")
        self._reports: list[tuple[str, online_migrations.Progress]] = []
        self._failures: list[str] = []

    def fail(self, why: str) -> None:
        """Note a database that could not be worked on."""
        self._failures.append(why)

    def migrate(self, place: _Place) -> None:
        """Run the steps of a database, as far as the count allows."""
        reports = online_migrations.run(place.database, STEPS[place.history], max_count=self._left, tell=self._tell)
        if self._left is not None:
            self._left -= sum(report.done for report in reports)
        self._reports += [(place.title, report) for report in reports]

    def end(self, columns: tuple[str, ...]) -> int:
        """Tell what was done, and return the exit code."""
        rows = [(title, one.name, one.found, one.done, one.failure) for title, one in self._reports]
        if rows or self._form != "table":
            print(rendered(columns, [row[-len(columns) :] for row in rows], self._form))
        reports = [report for _, report in self._reports]
        done = sum(report.done for report in reports)
        if self._form == "table":
            print(f"{done} rows changed." if done else "Nothing was changed.")
        for failure in self._failures:
            complain(failure)
        if self._failures or any(report.failure for report in reports):
            return _MORE if done else _ONLY_FAILURES
        return _MORE if self._left == 0 or any(report.found > report.done for report in reports) else 0
