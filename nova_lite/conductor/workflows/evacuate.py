"""Make a server's guest anew on another host, its own being down, inside its cell; and what is left there, go.

Above the cell a host was chosen and claimed: the server holds its new place in Placement already, and the evacuation's
UUID its old one. The image is on the new host first. Then the row becomes one of that host, with an epoch raised by
far: from there on the old host may start nothing, and whatever it still runs it turns off when it hears of that. Only
then the guest is made. What fails is undone, and the server is one of its old host again, with the epoch of the guest
it may still have there. See ``docs/decisions/0015-evacuation.rst``.
"""

import logging
from collections.abc import Sequence

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import evacuations as records
from nova_lite.cells import moves, volumes
from nova_lite.conductor import move_volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.move import (
    attachments_made,
    before,
    discard,
    give_claim_back,
    hold_claim,
    moved_volumes,
    new_place,
    remove_attachments,
    settled_volumes,
)
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, evacuations, instances, migrations
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import PowerState
from nova_lite.model.migration import DONE
from nova_lite.model.states import TaskState, VmState
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

#: Seconds that the old host gets, should it be there after all.
_QUICK_S = 10.0
_BUSY = (TaskState.REBUILDING, TaskState.REBUILD_SPAWNING)


def fetch_image(work: Work[CellTools]) -> Facts | None:
    """Have on the host the server goes to the image, unless it boots from a volume, and a way to its volumes."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    host = new_place(work).host
    try:
        _check_disks(work, host)
        if block_device.root_of(instance.volumes) is None:
            work.tools.agents.cache_image(host, instance.image_id, timeout_s=max(1.0, work.seconds_left))
    except errors.Timeout as exc:
        if host_is_down(work.tools, host):
            raise errors.HostFailed("The host the server was to go to does not answer.") from exc
        raise
    return {"attachments": move_volumes.attach_at(work, host)} if move_volumes.has_any(work) else None


def _check_disks(work: Work[CellTools], host: str) -> None:
    """Raise HostFailed unless ``host`` sees the server's disks or not, as was said; where nothing was, as it may be."""
    expected = work.inputs.get("on_shared_storage")
    if expected is None:
        return
    if work.tools.agents.sees_disks(host, work.subject, timeout_s=_QUICK_S) is not expected:
        seen = "does not see the server's disks" if expected else "sees the server's disks"
        raise errors.HostFailed(f"Host {host} {seen}, other than onSharedStorage says.")


def leave_host(work: Work[CellTools], session: Session) -> None:
    """Make the server one of its new host: from here on its old host may not start it."""
    chosen, was = new_place(work), before(work)
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.REBUILDING,
        task_state=TaskState.REBUILD_SPAWNING,
        epoch=work.inputs["epoch"],
        availability_zone=chosen.availability_zone,
        power_state=PowerState.NOSTATE,
        **instances.on(chosen.host, chosen.node, chosen.node_name),
        **moved_volumes(work, session),
    )
    actions.next_event(
        session,
        instance_uuid=work.subject,
        request_id=work.workflow.request_id,
        event="compute_rebuild_instance",
        host=was.host,
    )


def go_back(work: Work[CellTools]) -> None:
    """Make the server one of its old host again."""
    _go_back(work)


@retried
def _go_back(work: Work[CellTools]) -> Sequence[BlockDevice]:
    was = before(work)
    with work.tools.db.writer() as session:
        instance = instances.lock(session, work.subject)
        if instance.task_state not in _BUSY:
            raise errors.Conflict(f"Instance {work.subject} is busy with something else.")
        devices = instance.volumes
        if instance.epoch == work.inputs["epoch"]:
            instances.change(
                session,
                work.subject,
                task_state=TaskState.REBUILDING,
                epoch=was.epoch,
                availability_zone=was.availability_zone,
                **instances.on(was.host, was.node, was.node_name),
                **instances.with_volumes(block_device.moved_back(instance.volumes, {})),
            )
    return devices


def silence_old_host(work: Work[CellTools]) -> None:
    """Have the old host turn its guest off, should it hear; one that was not heard of lately is not asked."""
    host = before(work).host
    with work.tools.db.reader() as session:
        if not evacuations.is_heard(session, host, within_s=work.tools.conf.service_down_time):
            return
    try:
        work.tools.agents.put_in_order(host, work.subject, timeout_s=_QUICK_S)
    except errors.Timeout:
        if not host_is_down(work.tools, host):
            raise
        LOG.warning("Host %s, from which %s is evacuated, reported lately but does not hear", host, work.subject)


def start_guest(work: Work[CellTools]) -> Facts:
    """Have the guest made on its new host, running unless it was stopped or is to be."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    power_state = work.tools.agents.rebuild(instance, start=_runs(work), timeout_s=max(1.0, work.seconds_left))
    move_volumes.complete(work.tools.volumes, attachments_made(work).values())
    return {"power_state": int(power_state)}


def keep_disks(work: Work[CellTools]) -> None:
    """Have the old host leave the disks alone when it comes back, in case both see them, and have no volumes then."""
    host = new_place(work).host
    work.tools.agents.keep_disks(host, work.subject, work.inputs["epoch"], timeout_s=_QUICK_S)
    if move_volumes.has_any(work):
        move_volumes.remove_old(work.tools, work.subject)


def remove_guest(work: Work[CellTools]) -> None:
    """Have no guest on the new host; one that is down removes it itself when it comes back."""
    left = block_device.at(_go_back(work), attachments_made(work))
    discard(work, new_place(work).host, work.inputs["epoch"], left)


def settle(work: Work[CellTools], session: Session) -> None:
    """Turn the server into one at rest on its new host; its old one has yet to clean up."""
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.REBUILD_SPAWNING,
        vm_state=VmState.ACTIVE if _runs(work) else VmState.STOPPED,
        task_state=None,
        power_state=PowerState(work.facts["power_state"]),
        launched_at=utcnow(),
        scheduling=work.inputs["explanation"],
        fault=None,
        **settled_volumes(work, session),
    )
    migrations.bring_to(session, work.inputs["move"], DONE)
    _finish(work, session, None, new_place(work).host)


def end_unmoved(work: Work[CellTools], session: Session) -> None:
    """Leave the server what and where it was."""
    migrations.bring_to(session, work.inputs["move"], "failed")
    instances.change(session, work.subject, task_state=None)
    _finish(work, session, work.reason or "An internal error happened.", before(work).host)


EVACUATE = Definition(
    moves.EVACUATE,
    (
        Step("hold claim", hold_claim, undo=give_claim_back),
        Step("fetch image", fetch_image, undo=remove_attachments),
        Record("leave host", leave_host, undo=go_back),
        Step("silence old host", silence_old_host),
        Step("start guest", start_guest, undo=remove_guest),
        Step("keep disks", keep_disks, no_way_back=True),
        Record("settle", settle, no_way_back=True),
    ),
    on_failure=Record("end", end_unmoved),
    behind=volumes.KINDS,
)


def free_old_claim(work: Work[CellTools]) -> None:
    """Give back what the server had on its old host."""
    work.tools.placement.release(work.subject)


def complete(work: Work[CellTools], session: Session) -> None:
    """Note that the old host has nothing of the server any more."""
    evacuations.complete(session, [work.subject])


COMPLETE = Definition(
    records.COMPLETE,
    (
        Step("free old claim", free_old_claim, no_way_back=True),
        Record("complete", complete, no_way_back=True),
    ),
)
ALL = (EVACUATE, COMPLETE)


def _runs(work: Work[CellTools]) -> bool:
    return not work.inputs["stops"] and before(work).vm_state != VmState.STOPPED


def _finish(work: Work[CellTools], session: Session, error: str | None, host: str) -> None:
    actions.finish_work(session, work.workflow, error=error, host=host)
