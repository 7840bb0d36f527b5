"""Lead a live migration: choose a host in its server's cell, claim it, and hand over to the cell.

Its claims are those of any move; see ``move.py``.
"""

from nova_lite.cells import live_migrations, moves
from nova_lite.cells.operations import Requester
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.cell_part import cell_of, hand_over
from nova_lite.conductor.spanning.move import account, choose_host, give_claim_back, give_up
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.storage import retried


@retried
def begin_in_cell(work: Work[SuperTools]) -> None:
    """Begin the migration in the server's cell, unless whoever accepted it has."""
    workflow = work.workflow
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    with work.tools.database(cell_of(work)).writer() as session:
        live_migrations.begin(session, work.subject, workflow.uuid, requester)


def hand_to_cell(work: Work[SuperTools]) -> None:
    """Leave the migration to the cell's conductor; nothing when the server is being deleted, which frees all it has."""
    hand_over(work, live_migrations.hand_over, timeout_s=work.tools.conf.live_migration_timeout)


LIVE_MIGRATE = Definition(
    moves.LIVE,
    (
        Step("begin in cell", begin_in_cell),
        Step("choose host", choose_host, undo=give_claim_back),
        Step("hand to cell", hand_to_cell, no_way_back=True),
        Step("account", account, no_way_back=True),
    ),
    on_failure=Step("give up", give_up),
)
