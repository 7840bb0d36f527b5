"""Set a server's state by hand when work is under way that may hold claims or disks in two places.

The time of all that work is declared over, above the cells and in the server's cell: what can be undone is undone, what
is past its point of no return comes to its end, and a move that waits to be confirmed is confirmed. Then the state is
set. A delete wins over this as over all else.
"""

import uuid as uuids

from nova_lite import errors
from nova_lite.cells import moves, resets
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.cell_part import cell_of
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import mappings, workflows
from nova_lite.model.states import VmState
from nova_lite.model.workflow import OPEN, Workflow
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried

#: Work above the cells that is let come to its own end. One that makes servers may be about others, too.
_SPARED = ("schedule", "delete", "delete-softly", moves.CONFIRM, resets.RESET)
#: What this does not wait for, itself included.
_NOT_AWAITED = ("delete", "delete-softly", resets.RESET)


def end_other_work(work: Work[SuperTools]) -> None:
    """See to it that nobody is at work on the server any more, and no move of it waits; raises NotYet until then."""
    cell = cell_of(work)
    _end_work(work)
    for uuid in _end_work_in_cell(work, cell):
        ConductorClient(cell.bus).wake(uuid)
    if _is_at_work(work):
        raise errors.NotYet("What is done to the server has not ended.")
    if _waits_to_be_confirmed(work, cell):
        _confirm(work)
        raise errors.NotYet("The server's move is not confirmed yet.")


def set_state(work: Work[SuperTools]) -> None:
    """Set the server's state; work that was begun a moment ago is ended, too, as long as there is time for that."""
    is_late = work.seconds_left <= 0
    if not is_late:
        end_other_work(work)
    _set(work, cell_of(work), may_wait=not is_late)


@retried
def _end_work(work: Work[SuperTools]) -> None:
    with work.tools.api_db.writer() as session:
        workflows.expire(session, ApiWorkflowRow, work.subject, spare=_SPARED)


@retried
def _end_work_in_cell(work: Work[SuperTools], cell: OpenCell) -> list[str]:
    with work.tools.database(cell).writer() as session:
        return resets.end_work(session, work.subject)


def _is_at_work(work: Work[SuperTools]) -> bool:
    with work.tools.api_db.reader() as session:
        known = workflows.about(session, ApiWorkflowRow, work.subject)
    return any(each.status in OPEN and each.kind not in _NOT_AWAITED for each in known)


def _waits_to_be_confirmed(work: Work[SuperTools], cell: OpenCell) -> bool:
    with work.tools.database(cell).reader() as session:
        return resets.waits_to_be_confirmed(session, work.subject)


@retried
def _confirm(work: Work[SuperTools]) -> None:
    """Have the server's move confirmed; raises Conflict when that was tried, and refused."""
    own = work.workflow
    confirming = Workflow(
        uuid=str(uuids.uuid5(uuids.UUID(own.uuid), moves.CONFIRM)),
        kind=moves.CONFIRM,
        subject=own.subject,
        project_id=own.project_id,
        user_id=own.user_id,
        request_id=f"req-{uuids.uuid5(uuids.UUID(own.uuid), 'request')}",
        inputs={"cell_uuid": own.inputs["cell_uuid"]},
        deadline=0.0,
    )
    with work.tools.api_db.writer() as session:
        mappings.counted(session, own.subject)
        found = workflows.get(session, ApiWorkflowRow, confirming.uuid)
        if found is not None and found.status not in OPEN:
            raise errors.Conflict(f"The server's move cannot be confirmed: {found.facts.get('refused', 'it was not.')}")
        if found is None:
            workflows.add(session, ApiWorkflowRow, confirming, timeout_s=work.tools.conf.operation_timeout)


@retried
def _set(work: Work[SuperTools], cell: OpenCell, *, may_wait: bool) -> None:
    with work.tools.database(cell).writer() as session:
        resets.set_when_quiet(session, work.workflow, VmState(work.inputs["state"]), may_wait=may_wait)


def give_up(work: Work[SuperTools]) -> None:
    """Have the server's action say why its state could not be set."""
    with work.tools.database(cell_of(work)).writer() as session:
        resets.end(session, work.workflow, work.reason or "An internal error happened.")


RESET_STATE = Definition(
    resets.RESET,
    (
        Step("end other work", end_other_work),
        Step("set state", set_state, no_way_back=True),
    ),
    on_failure=Step("give up", give_up),
)
