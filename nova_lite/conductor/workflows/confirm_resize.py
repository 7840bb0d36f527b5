"""Confirm a server's move, inside its cell: what it left on its old host goes, and so does the claim there."""

import logging

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves, volumes
from nova_lite.conductor import move_volumes
from nova_lite.conductor.saga import Definition, Record, Step, Work
from nova_lite.conductor.workflows.move import before, settled_volumes
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.repositories import actions, instances, migrations
from nova_lite.model.guest import PowerState
from nova_lite.model.states import ACTIONS, VmState

LOG = logging.getLogger(__name__)

#: Seconds a host gets to remove what a guest left.
_DROP_S = 30.0
#: Turns of several tries each, after which a host that cannot remove it now is left to do that by itself later.
_PATIENT_TURNS = 2


def drop_leftovers(work: Work[CellTools]) -> None:
    """Have the old host remove what the guest left there; one that cannot now does it by itself later."""
    host, left = before(work).host, move_volumes.left_behind(work)
    try:
        work.tools.agents.drop_aside(host, work.subject, left, timeout_s=_DROP_S)
    except errors.NovaLiteError as exc:
        if work.workflow.attempt <= _PATIENT_TURNS and not host_is_down(work.tools, host):
            raise
        LOG.warning("What guest %s left on host %s is left to it: %s", work.subject, host, exc)


def free_old_claim(work: Work[CellTools]) -> None:
    """Give back what the server had before it moved."""
    if move_volumes.has_any(work):
        move_volumes.remove_old(work.tools, work.subject)
    work.tools.placement.release(work.inputs["move"])


def confirm(work: Work[CellTools], session: Session) -> None:
    """Turn the server into one at rest."""
    instance = instances.lock(session, work.subject)
    is_off = instance.power_state in (PowerState.SHUTDOWN, PowerState.CRASHED)
    instances.change(
        session,
        work.subject,
        expect_task=ACTIONS[moves.CONFIRM].while_busy,
        vm_state=VmState.STOPPED if is_off else ACTIONS[moves.CONFIRM].ends_in,
        task_state=None,
        **settled_volumes(work, session),
    )
    migrations.bring_to(session, work.inputs["move"], "confirmed")
    actions.finish_work(
        session,
        work.workflow,
        error=None,
        host=before(work).host,
    )


CONFIRM_RESIZE = Definition(
    moves.CONFIRM,
    (
        Step("drop leftovers", drop_leftovers, no_way_back=True),
        Step("free old claim", free_old_claim, no_way_back=True),
        Record("confirm", confirm, no_way_back=True),
    ),
    behind=volumes.KINDS,
)
