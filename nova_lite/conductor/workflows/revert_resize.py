"""Revert a server's move, inside its cell: the guest goes where it went, and comes back where and as it was.

The row is turned back first, with a raised epoch: from then on the guest may only run on its old host. When that is
down before, the server stays where it is; when it goes down after, the server is in ERROR until it is back.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves, volumes
from nova_lite.conductor import move_volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.move import (
    attachments_made,
    before,
    discard,
    give_claim_back,
    remove_attachments,
    take_back,
    was_running,
)
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault
from nova_lite.model.migration import FINISHED
from nova_lite.model.states import ACTIONS, VmState

_BUSY = ACTIONS[moves.REVERT].while_busy
_TURN_BACK = "turn back"


def ask_old_host(work: Work[CellTools]) -> Facts | None:
    """See that the host is there that the guest is to come back to, and that it can have what volumes came since."""
    host = before(work).host
    if host_is_down(work.tools, host):
        raise errors.Conflict("The host that the server moved away from is down.")
    if not move_volumes.has_any(work):
        return None
    with work.tools.db.reader() as session:
        devices = move_volumes.attached(instances.get(session, work.subject).volumes)
    came = [device for device in devices if device.old_attachment_id is None]
    return {"attachments": move_volumes.attach_at(work, host, came) if came else {}}


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
        **instances.sized(was.flavor, boots_from_volume=instance.boots_from_volume),
        **instances.with_volumes(block_device.moved_back(instance.volumes, attachments_made(work))),
    )
    actions.next_event(
        session,
        instance_uuid=work.subject,
        request_id=work.workflow.request_id,
        event="compute_finish_revert_resize",
        host=instance.host,
    )
    left = {} if instance.host == was.host else {device.uuid: device.attachment_id for device in instance.volumes}
    return {"left": instance.host, "epoch": instance.epoch + 1, "left_attachments": left}


def go_back_all_the_same(work: Work[CellTools]) -> None:
    """Do what is left of the way back: on the host that was left there is nothing to return to."""
    if "left" not in work.facts:
        return
    give_claim_back(work)
    remove_guest(work)
    take_back(work, work.facts["epoch"], _volumes(work))
    move_volumes.complete(work.tools.volumes, attachments_made(work).values())


def remove_guest(work: Work[CellTools]) -> None:
    """Have no guest on the host that is left; one that is down removes it itself when it comes back."""
    left = block_device.at(_volumes(work), work.facts["left_attachments"])
    discard(work, work.facts["left"], work.facts["epoch"] - 1, left)


def bring_guest_back(work: Work[CellTools]) -> Facts:
    """Have the guest on its old host again, running if it ran."""
    power_state = work.tools.agents.bring_back(
        before(work).host,
        work.subject,
        work.facts["epoch"],
        _volumes(work),
        start=was_running(work),
        timeout_s=max(1.0, work.seconds_left),
    )
    move_volumes.complete(work.tools.volumes, attachments_made(work).values())
    return {"power_state": int(power_state)}


def free_what_was_left(work: Work[CellTools]) -> None:
    """Give the server what it had, and back what it had on the host that it left."""
    remove_attachments(work)
    give_claim_back(work)


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
    actions.finish_work(session, work.workflow, error=None, host=was.host)


def end_revert(work: Work[CellTools], session: Session) -> None:
    """Leave the server where it went, when it was not turned back; else where it was, in ERROR without its guest."""
    was, move = before(work), work.inputs["move"]
    reason = work.reason or "An internal error happened."
    if "left" not in work.facts:
        instances.change(session, work.subject, expect_task=_BUSY, task_state=None)
        migrations.bring_to(session, move, FINISHED)
    else:
        migrations.bring_to(session, move, "reverted")
        if _TURN_BACK in work.facts.get("left_behind", []):
            fault = Fault(500, f"{reason} Its host did not take the guest back yet.", utcnow())
            instances.set_fault(session, work.subject, fault, vm_state=VmState.ERROR, task_state=None)
        else:
            instances.change(session, work.subject, vm_state=VmState(was.vm_state), task_state=None)
    actions.finish_work(session, work.workflow, error=reason, host=was.host)


REVERT_RESIZE = Definition(
    moves.REVERT,
    (
        Step("ask old host", ask_old_host, undo=remove_attachments),
        Record(_TURN_BACK, turn_back, undo=go_back_all_the_same),
        Step("remove guest", remove_guest),
        Step("bring guest back", bring_guest_back),
        Step("give claim back", free_what_was_left, no_way_back=True),
        Record("revert", revert, no_way_back=True),
    ),
    on_failure=Record("end revert", end_revert),
    behind=volumes.KINDS,
)


def _volumes(work: Work[CellTools]) -> list[BlockDevice]:
    if not move_volumes.has_any(work):
        return []
    with work.tools.db.reader() as session:
        return move_volumes.attached(instances.get(session, work.subject).volumes)
