"""Claims for servers that lack theirs, or hold it in the wrong name: made again as the scheduler would have made them.

What is written was decided by what was seen: a server that is being worked on is left alone, and Placement refuses a
write when the consumer changed since. A server that is deleted while its claim is made leaves none behind.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from nova_lite import errors
from nova_lite.cells.offline import CellDatabases
from nova_lite.clients.placement import Holding, PlacementClient
from nova_lite.db.repositories import claimants
from nova_lite.db.repositories.claimants import Claimant
from nova_lite.model.claims import Amounts, Held, fits, shown
from nova_lite.model.host import Cell
from nova_lite.model.states import TaskState
from nova_lite.scheduler import claims, request

#: Servers read from a cell at once.
_BATCH = 50
#: Tries at one server whose holding changes between look and write.
_MAX_TRIES = 5


class Outcome(StrEnum):
    """What came of a server."""

    FINE = "nothing to do"
    CREATED = "created"
    CORRECTED = "corrected"
    BUSY = "skipped"
    NO_NODE = "no compute node"
    FAILED = "failed"
    GONE = "deleted meanwhile"


@dataclass(frozen=True, slots=True)
class Healed:
    """One server that was looked at, and what came of it."""

    uuid: str
    node: str
    outcome: Outcome
    details: str = ""


class Healer:
    """Looks at servers and makes the claims they lack. With ``is_dry`` nothing is written."""

    def __init__(self, cells: CellDatabases, placement: PlacementClient, *, is_dry: bool = False) -> None:
        self._cells = cells
        self._placement = placement
        self._is_dry = is_dry
        self._spread = claims.Spread(placement)

    def heal_cells(self, cells: Sequence[Cell], tell: Callable[[str], None]) -> Iterator[Healed]:
        """Yield every server on a host of ``cells``; memory is that of one page. A silent cell yields no more.

        ``tell`` hears how many were looked at, a page each.
        """
        done = 0
        for cell in cells:
            page = self._page(cell, 0)
            while page:
                for claimant in page:
                    yield self._heal(cell, claimant, force=False)
                done += len(page)
                tell(f"{done} servers looked at")
                page = self._page(cell, page[-1].row_id)

    def heal_one(self, cell: Cell, uuid: str, *, force: bool) -> Healed | None:
        """Return what came of one server; None when it does not live in ``cell``, is on no host, or nobody answers.

        ``force`` corrects the amounts too, to those of its flavor.
        """
        claimant = self._look(cell, uuid)
        return None if claimant is None else self._heal(cell, claimant, force=force)

    def _page(self, cell: Cell, after: int) -> list[Claimant]:
        return self._cells.ask(cell, partial(claimants.page, after=after, limit=_BATCH)) or []

    def _look(self, cell: Cell, uuid: str) -> Claimant | None:
        return self._cells.ask(cell, partial(claimants.one, uuid=uuid))

    def _heal(self, cell: Cell, server: Claimant, *, force: bool) -> Healed:
        if server.busy_with is not None:
            return _came(server, Outcome.BUSY, f"it is being worked on: {server.busy_with}")
        if not server.has_node:
            return _came(server, Outcome.NO_NODE, f"its cell knows no compute node {server.node or 'for it'}")
        for _ in range(_MAX_TRIES):
            held = self._placement.holding(server.uuid)
            try:
                wanted, why = self._wanted(server, held, force=force)
            except (errors.Conflict, errors.Invalid) as exc:
                return _came(server, Outcome.FAILED, exc.message)
            if wanted is None:
                return _came(server, Outcome.FINE)
            outcome = Outcome.CREATED if held is None else Outcome.CORRECTED
            if self._is_dry:
                return _came(server, outcome, f"{why} (not written)")
            try:
                self._placement.hold(
                    server.uuid,
                    wanted,
                    None if held is None else held.generation,
                    project_id=server.project_id,
                    user_id=server.user_id,
                )
            except (errors.Conflict, errors.Invalid) as exc:
                if exc.code == "placement.concurrent_update":
                    continue
                return _came(server, Outcome.FAILED, exc.message)
            if self._is_gone(cell, server.uuid):
                return _came(server, Outcome.GONE)
            return _came(server, outcome, why)
        return _came(server, Outcome.FAILED, "what it holds changes faster than it can be corrected")

    def _wanted(self, server: Claimant, held: Holding | None, *, force: bool) -> tuple[Held | None, str]:
        """Return what a server shall hold, and why; None when it is well as it is.

        Raises Invalid for a flavor that asks for what cannot be, Conflict where there is no room.
        """
        amounts = request.needs(server.flavor, server.image_properties).totals
        if held is None or (force and not self._fits(server, held, amounts)):
            spread = self._spread(server.node, amounts, server.flavor, server.image_properties)
            return spread, shown(amounts)
        if (held.project_id, held.user_id) != (server.project_id, server.user_id):
            return held.allocations, f"now of project {server.project_id}, user {server.user_id}"
        return None, ""

    def _fits(self, server: Claimant, held: Holding, amounts: Amounts) -> bool:
        """Return whether a server holds what it needs, of whatever providers of its host."""
        roots = {str(provider["uuid"]): server.node for provider in self._placement.tree(server.node)}
        return fits(held.allocations, server.node, amounts, roots)

    def _is_gone(self, cell: Cell, uuid: str) -> bool:
        """Give back what a server was just given if it was deleted meanwhile: its delete may have freed too early."""
        now = self._look(cell, uuid)
        is_gone = now is None if cell.uuid not in self._cells.down else False
        if is_gone or (now is not None and now.busy_with == TaskState.DELETING):
            self._placement.release(uuid)
            return True
        return False


def _came(server: Claimant, outcome: Outcome, details: str = "") -> Healed:
    return Healed(server.uuid, server.node, outcome, details)
