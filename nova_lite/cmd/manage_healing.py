"""``placement heal_allocations``: claims for servers that lack theirs. The rules are in ``scheduler/healing.py``."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field

from nova_lite import errors
from nova_lite.cells.offline import CellDatabases
from nova_lite.cmd.arguments import BAD_USAGE
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, reason, rendered
from nova_lite.cmd.progress import Progress
from nova_lite.db import migrate
from nova_lite.db.repositories import claimants
from nova_lite.model.host import Cell
from nova_lite.scheduler.healing import Healed, Healer, Outcome
from nova_lite.storage import Database

_HEALED, _MORE, _NO_NODE, _FAILED, _NOTHING, _BROKEN = 0, 1, 2, 3, 4, 255
_COLUMNS = ("Server UUID", "Resource Provider UUID", "Details", "Outcome")
_TITLE = "nova-lite-manage placement heal_allocations"
#: What is told of a server, by default.
_TOLD = frozenset(Outcome) - {Outcome.FINE}
_WRITTEN = (Outcome.CREATED, Outcome.CORRECTED)


@dataclass
class _Result:
    """What healing came to."""

    rows: list[Healed] = field(default_factory=list)
    written: int = 0
    has_more: bool = False
    broken: bool = False

    def code(self, *, is_dry: bool) -> int:
        outcomes = {healed.outcome for healed in self.rows}
        if self.broken:
            return _BROKEN
        if Outcome.FAILED in outcomes:
            return _FAILED
        if Outcome.NO_NODE in outcomes:
            return _NO_NODE
        if self.has_more and not is_dry:
            return _MORE
        return _NOTHING if is_dry or self.written == 0 else _HEALED


def run(installation: Installation, arguments: argparse.Namespace) -> int:
    """Heal what was asked for."""
    if arguments.instance and arguments.cell:
        return _refuse("Give --instance or --cell, not both.")
    if arguments.force and not arguments.instance:
        return _refuse("--force needs --instance: it overwrites what a server holds.")
    result = _Result()
    try:
        _heal(installation, arguments, result)
    except errors.Invalid as exc:
        return _refuse(exc.message)
    except errors.NovaLiteError as exc:
        complain(reason(exc))
        result.broken = True
    _print(result, arguments)
    return result.code(is_dry=arguments.dry_run)


def _heal(installation: Installation, arguments: argparse.Namespace, result: _Result) -> None:
    placement = installation.placement()
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        with CellDatabases(api_db, installation.local_urls) as cells:
            healer = Healer(cells, placement, is_dry=arguments.dry_run)
            try:
                for healed in _looked_at(api_db, cells, healer, arguments):
                    if healed.outcome in _TOLD or arguments.verbose:
                        result.rows.append(healed)
                    result.written += healed.outcome in _WRITTEN
                    if arguments.max_count is not None and result.written >= arguments.max_count:
                        result.has_more = not arguments.instance
                        break
            finally:
                for uuid, why in cells.down.items():
                    complain(f"Cell {uuid} does not answer: {why}")
                    result.broken = True


def _looked_at(
    api_db: Database, cells: CellDatabases, healer: Healer, arguments: argparse.Namespace
) -> Iterator[Healed]:
    """Yield the servers asked for; raises Invalid when there are none such."""
    if arguments.instance:
        cell = _cell_of(api_db, cells, arguments.instance)
        healed = healer.heal_one(cell, arguments.instance, force=arguments.force)
        if healed is not None:
            yield healed
        elif not cells.down:
            raise errors.Invalid(f"No live server {arguments.instance} is on a host.")
        return
    wanted = [cell for cell in cells.cells if not cell.is_cell0 and arguments.cell in (None, cell.uuid)]
    if arguments.cell and not wanted:
        raise errors.Invalid(f"There is no cell {arguments.cell} that has hosts.")
    yield from healer.heal_cells(wanted, Progress(_TITLE))


def _cell_of(api_db: Database, cells: CellDatabases, uuid: str) -> Cell:
    with api_db.reader() as session:
        cell_uuid = claimants.mapped(session, [uuid]).get(uuid)
    for cell in cells.cells:
        if cell.uuid == cell_uuid:
            return cell
    raise errors.Invalid(f"The server {uuid} is mapped to no cell; does it exist?")


def _print(result: _Result, arguments: argparse.Namespace) -> None:
    rows = [(row.uuid, row.node, row.details, row.outcome) for row in result.rows]
    if rows or arguments.format != "table":
        print(rendered(_COLUMNS, rows, arguments.format))
    if arguments.format == "table":
        done = "would be healed" if arguments.dry_run else "healed"
        more = " There may be more: run it again." if result.has_more else ""
        print(f"{result.written} servers {done}.{more}")


def _refuse(message: str) -> int:
    complain(message)
    return BAD_USAGE
