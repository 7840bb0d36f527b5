"""Revert a server's move, inside its cell: the guest goes where it went, and comes back where and as it was.

The row is turned back first, with a raised epoch: from then on the guest may only run on its old host.
"""

from sqlalchemy.orm import Session

from nova_lite.cells import moves
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.move import before, discard, give_claim_back, was_running
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations
from nova_lite.model.guest import PowerState
from nova_lite.model.states import ACTIONS, VmState

_BUSY = ACTIONS[moves.REVERT].while_busy


def turn_back(work: Work[CellTools], session: Session) -> Facts:
    """Make the server one of its old host again, of its old size."""
    instance, was = instances.lock(session, work.subject), before(work)
    instances.change(
        session,
        work.subject,
        expect_task=_BUSY,
        epoch=instance.epoch + 1,
        availability_zone=was.availability_zone,
        **instances.on(was.host, was.node, was.node_name),
        **instances.sized(was.flavor),
    )
    actions.next_event(
        session,
        instance_uuid=work.subject,
        request_id=work.workflow.request_id,
        event="compute_finish_revert_resize",
        host=instance.host,
    )
    return {"left": instance.host, "epoch": instance.epoch + 1}


def remove_guest(work: Work[CellTools]) -> None:
    """Have no guest on the host that is left; one that is down removes it itself when it comes back."""
    discard(work, work.facts["left"], work.facts["epoch"] - 1)


def bring_guest_back(work: Work[CellTools]) -> Facts:
    """Have the guest on its old host again, running if it ran."""
    power_state = work.tools.agents.bring_back(
        before(work).host,
        work.subject,
        work.facts["epoch"],
        start=was_running(work),
        timeout_s=max(1.0, work.seconds_left),
    )
    return {"power_state": int(power_state)}


def revert(work: Work[CellTools], session: Session) -> None:
    """Turn the server into what it was."""
    was = before(work)
    instances.change(
        session,
        work.subject,
        expect_task=_BUSY,
        vm_state=VmState(was.vm_state),
        task_state=None,
        power_state=PowerState(work.facts["power_state"]),
        launched_at=utcnow(),
    )
    migrations.bring_to(session, work.inputs["move"], "reverted")
    actions.finish(session, instance_uuid=work.subject, request_id=work.workflow.request_id, error=None, host=was.host)


REVERT_RESIZE = Definition(
    moves.REVERT,
    (
        Record("turn back", turn_back, no_way_back=True),
        Step("remove guest", remove_guest, no_way_back=True),
        Step("bring guest back", bring_guest_back, no_way_back=True),
        Step("give claim back", give_claim_back, no_way_back=True),
        Record("revert", revert, no_way_back=True),
    ),
)
