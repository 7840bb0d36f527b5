"""The part of work above the cells that one cell does: which cell that is, and how its conductor gets it."""

from typing import Protocol

import msgspec
from sqlalchemy.orm import Session

from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.saga import Work
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.model.request_spec import Selection
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried


class Recorder(Protocol):
    """Records the cell's part of a move there, and returns its UUID; None when the server is being deleted."""

    def __call__(
        self,
        session: Session,
        workflow: Workflow,
        selections: list[Selection],
        explanation: object,
        /,
        *,
        timeout_s: float,
    ) -> str | None:
        """Record it once, however often it is called."""
        ...


def cell_of(work: Work[SuperTools]) -> OpenCell:
    """Return the cell of the server that ``work`` is about."""
    return work.tools.cells.get(work.inputs["cell_uuid"])


def hand_over(work: Work[SuperTools], record: Recorder, *, timeout_s: float) -> bool:
    """Leave the rest of a move to the cell's conductor, with the hosts that were chosen.

    False, and nothing is left to it, when the server is being deleted. The cell's part gets ``timeout_s`` seconds.
    """
    uuid = _recorded(work, record, timeout_s)
    if uuid is not None:
        ConductorClient(cell_of(work).bus).wake(uuid)
    return uuid is not None


@retried
def _recorded(work: Work[SuperTools], record: Recorder, timeout_s: float) -> str | None:
    selections = msgspec.convert(work.facts["selections"], list[Selection])
    with work.tools.database(cell_of(work)).writer() as session:
        return record(session, work.workflow, selections, work.facts["explanation"], timeout_s=timeout_s)
