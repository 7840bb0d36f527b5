"""``placement sync_aggregates``: host aggregates, mirrored to Placement. The rules: ``cells/aggregate_mirror.py``."""

import argparse
from collections.abc import Sequence

from nova_lite import errors
from nova_lite.cells import aggregate_mirror
from nova_lite.cells.aggregate_mirror import Member, Mirrored, Outcome
from nova_lite.cells.offline import CellDatabases
from nova_lite.clients.placement import PlacementClient
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, reason, rendered
from nova_lite.cmd.progress import Progress
from nova_lite.db import migrate

_DONE, _PLACEMENT_FAILED, _BROKEN = 0, 2, 255
_CODES = {
    Outcome.SEVERAL_NODES: 1,
    Outcome.CONTENDED: 3,
    Outcome.NOT_MAPPED: 4,
    Outcome.NO_NODE: 5,
    Outcome.NO_PROVIDER: 6,
    Outcome.SILENT: _BROKEN,
}
_COLUMNS = ("Host", "Resource Provider UUID", "Aggregates", "Outcome")
_TITLE = "nova-lite-manage placement sync_aggregates"


def run(installation: Installation, arguments: argparse.Namespace) -> int:
    """Mirror, and tell what came of it."""
    rows: list[Mirrored] = []
    try:
        placement = installation.placement()
        with installation.api_db() as api_db:
            migrate.require(api_db, "api")
            with CellDatabases(api_db, installation.local_urls) as cells:
                members = aggregate_mirror.members(api_db, cells)
                for uuid, why in cells.down.items():
                    complain(f"Cell {uuid} does not answer: {why}")
        code = _put_all(placement, members, rows)
    except errors.NovaLiteError as exc:
        complain(reason(exc))
        code = _BROKEN
    told = [row for row in rows if arguments.verbose or row.outcome is not Outcome.FINE]
    shown = [(row.host, row.provider, " ".join(row.added), row.outcome) for row in told]
    if shown or arguments.format != "table":
        print(rendered(_COLUMNS, shown, arguments.format))
    if arguments.format == "table":
        print(f"{sum(row.outcome is Outcome.ADDED for row in rows)} hosts added to aggregates.")
    return code


def _put_all(placement: PlacementClient, members: Sequence[Member], rows: list[Mirrored]) -> int:
    """Put every member into its aggregates; return the lowest code that applies, or 2 as soon as Placement fails."""
    tell = Progress(_TITLE)
    for number, member in enumerate(members, start=1):
        try:
            rows.append(aggregate_mirror.put(placement, member))
        except errors.NovaLiteError as exc:
            complain(reason(exc))
            return _PLACEMENT_FAILED
        tell(f"{number} of {len(members)} hosts told")
    return min((_CODES[row.outcome] for row in rows if row.outcome in _CODES), default=_DONE)
