"""Whether a token opens a console now, and whether what it opened may stay open.

Its cell is asked what the token stands for, and the host, as the console is opened, whether that is still so.
"""

import logging
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import console_tokens, instances
from nova_lite.db.repositories.instances import Whereabouts
from nova_lite.model.console import ConsoleToken
from nova_lite.model.states import ENDING_CONSOLES
from nova_lite.rpc.compute import ComputeClient

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A token that opened a console: its cell and by what it is known there, and what it stands for."""

    cell_uuid: str
    token_hash: str
    meant: ConsoleToken


@dataclass(frozen=True, slots=True)
class _Found:
    """A token's meaning, and why it opens nothing, None if it does."""

    meant: ConsoleToken
    refusal: str | None


class Gate:
    """Reads cells' databases and asks hosts; changes nothing."""

    def __init__(self, cells: Cells, fanout: Fanout) -> None:
        self._cells = cells
        self._fanout = fanout

    def admit(self, token: str | None) -> Admitted:
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
        if found.refusal is not None:
            raise errors.Forbidden(f"instance {meant.instance_uuid}: {found.refusal}")
        self._ask_host(self._cells.get(cell_uuid), meant)
        return Admitted(cell_uuid, console_tokens.hash_of(token), meant)

    def judge(self, opened: Collection[Admitted]) -> dict[Admitted, str | None]:
        """Return why consoles may be open no longer, None for those that may; what no cell tells of is missing."""
        by_cell: defaultdict[str, list[Admitted]] = defaultdict(list)
        for admitted in opened:
            by_cell[admitted.cell_uuid].append(admitted)
        cells = []
        for uuid in by_cell:
            try:
                cells.append(self._cells.get(uuid))
            except errors.Unavailable as exc:
                LOG.warning("What became of open consoles cannot be found out: %s %s", exc.message, exc.facts)
        answers = self._fanout.ask(lambda cell: _judge(cell, by_cell[cell.cell.uuid], utcnow()), of=cells)
        return {admitted: why for found in answers.found.values() for admitted, why in found.items()}

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
        now = instances.whereabouts(connection, [meant.instance_uuid])
    return _Found(meant, _refusal(meant, now.get(meant.instance_uuid)))


def _judge(cell: OpenCell, opened: Collection[Admitted], now: datetime) -> dict[Admitted, str | None]:
    with cell.db.reading() as connection:
        where = instances.whereabouts(connection, {admitted.meant.instance_uuid for admitted in opened})
        known = console_tokens.known(connection, {admitted.token_hash for admitted in opened})
    return {
        admitted: "its token was revoked"
        if admitted.token_hash not in known and now < admitted.meant.expires_at + console_tokens.KEPT
        else _refusal(admitted.meant, where.get(admitted.meant.instance_uuid))
        for admitted in opened
    }


def _refusal(meant: ConsoleToken, now: Whereabouts | None) -> str | None:
    """Return why an instance's console is not to be shown any more; None if it is, as far as its cell knows."""
    if now is None:
        return "it is gone"
    if (now.host, now.epoch) != (meant.instance_host, meant.epoch):
        return "it is not where its console was"
    if now.task_state in ENDING_CONSOLES:
        return "its guest is about to end"
    return None
