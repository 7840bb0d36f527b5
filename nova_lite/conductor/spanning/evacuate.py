"""Lead the evacuation of a server: choose a host in its cell, claim it, hand over to the cell, and note where it is."""

from nova_lite.cells import evacuations, moves
from nova_lite.cells.operations import Requester
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.cell_part import cell_of, hand_over
from nova_lite.conductor.spanning.move import account, choose_host, give_claim_back, give_up
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.storage import retried


@retried
def begin_in_cell(work: Work[SuperTools]) -> None:
    """Begin the evacuation in the server's cell, unless whoever accepted it has."""
    workflow = work.workflow
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    with work.tools.database(cell_of(work)).writer() as session:
        evacuations.begin(session, work.subject, workflow.uuid, requester)


def hand_to_cell(work: Work[SuperTools]) -> None:
    """Leave the evacuation to the cell's conductor; nothing when the server is being deleted."""
    hand_over(work, evacuations.hand_over, timeout_s=work.tools.conf.operation_timeout)


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
