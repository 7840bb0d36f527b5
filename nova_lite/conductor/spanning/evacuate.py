"""Lead the evacuation of a server: choose a host in its cell, claim it, hand over to the cell, and note where it is."""

import msgspec

from nova_lite.cells import accounting, evacuations, moves
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.move import account, choose_host, give_claim_back
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.model.request_spec import Selection
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried


def begin_in_cell(work: Work[SuperTools]) -> None:
    """Begin the evacuation in the server's cell, unless whoever accepted it has."""
    _begin(work)


@retried
def _begin(work: Work[SuperTools]) -> None:
    workflow = work.workflow
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    with work.tools.database(_cell(work)).writer() as session:
        evacuations.begin(session, work.subject, workflow.uuid, requester)


def hand_to_cell(work: Work[SuperTools]) -> None:
    """Leave the evacuation to the cell's conductor; nothing when the server is being deleted."""
    uuid = _hand_over(work)
    if uuid is not None:
        ConductorClient(_cell(work).bus).wake(uuid)


@retried
def _hand_over(work: Work[SuperTools]) -> str | None:
    selections = msgspec.convert(work.facts["selections"], list[Selection])
    with work.tools.database(_cell(work)).writer() as session:
        return evacuations.hand_over(
            session,
            work.workflow,
            selections,
            work.facts["explanation"],
            timeout_s=work.tools.conf.operation_timeout,
        )


def give_up(work: Work[SuperTools]) -> None:
    """End an evacuation that found no host: the server is what it was."""
    cell_db = work.tools.database(_cell(work))
    with cell_db.writer() as session:
        moves.give_up(session, work.workflow, work.reason or "An internal error happened.")
    accounting.settle(work.tools.api_db, cell_db, work.subject, work.workflow.uuid)


EVACUATE = Definition(
    moves.EVACUATE,
    (
        Step("begin in cell", begin_in_cell),
        Step("choose host", choose_host, undo=give_claim_back),
        Step("hand to cell", hand_to_cell, no_way_back=True),
        Step("account", account, no_way_back=True),
    ),
    on_failure=Step("give up", give_up),
)


def _cell(work: Work[SuperTools]) -> OpenCell:
    return work.tools.cells.get(work.inputs["cell_uuid"])
