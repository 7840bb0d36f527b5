"""Whether a token opens a console now: its cell is asked what it stands for, the host whether that is still so."""

from dataclasses import dataclass

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import console_tokens, instances
from nova_lite.model.console import ConsoleToken
from nova_lite.model.states import ENDING_CONSOLES
from nova_lite.rpc.compute import ComputeClient


@dataclass(frozen=True, slots=True)
class _Found:
    """A token's meaning, and whether its instance is where it was then."""

    meant: ConsoleToken
    is_there: bool


class Gate:
    """Reads cells' databases and asks hosts; changes nothing."""

    def __init__(self, cells: Cells, fanout: Fanout) -> None:
        self._cells = cells
        self._fanout = fanout

    def admit(self, token: str | None) -> ConsoleToken:
        """Return what a token opens.

        Raises Forbidden when it opens nothing (any more), saying why to the log, Unavailable when whoever may know does
        not answer.
        """
        if not token:
            raise errors.Forbidden("there is no token")
        answers = self._fanout.ask(lambda cell: _look(cell, token), with_cell0=False)
        known = ((uuid, found) for uuid, found in answers.found.items() if found is not None)
        cell_uuid, found = next(known, (None, None))
        if cell_uuid is None or found is None:
            if answers.down:
                raise errors.Unavailable("A cell that may know the token does not answer.")
            raise errors.Forbidden("the token is not known")
        meant = found.meant
        if not found.is_there:
            raise errors.Forbidden(f"instance {meant.instance_uuid} is not where its console was")
        self._ask_host(self._cells.get(cell_uuid), meant)
        return meant

    def _ask_host(self, cell: OpenCell, meant: ConsoleToken) -> None:
        """Raise Forbidden unless the host tells the same of the console as it did when the token was made."""
        kind, uuid = meant.console.kind, meant.instance_uuid
        try:
            console = ComputeClient(cell.bus).console(meant.instance_host, uuid, kind)
        except (errors.Conflict, errors.Invalid, errors.NotFound) as exc:
            raise errors.Forbidden(f"instance {uuid} has no such console any more: {exc.message}") from exc
        if not meant.leads_to(console):
            raise errors.Forbidden(f"the console of instance {uuid} is elsewhere now")


def _look(cell: OpenCell, token: str) -> _Found | None:
    with cell.db.reading() as connection:
        meant = console_tokens.get(connection, token)
        if meant is None:
            return None
        try:
            now = instances.placed(connection, meant.instance_uuid)
        except errors.NotFound:
            return _Found(meant, is_there=False)
    is_there = (now.host, now.epoch) == (meant.instance_host, meant.epoch) and now.task_state not in ENDING_CONSOLES
    return _Found(meant, is_there)
