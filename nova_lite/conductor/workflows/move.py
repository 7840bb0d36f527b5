"""Move a server to another host, another size or both, inside its cell, until its user has to confirm that.

Above the cell a host was chosen and claimed: the server holds its new place in Placement already, and the move's UUID
its old one. The guest is set aside on its host before the server's row is handed over with a raised epoch, and only
then made on the new host. So it can run on one host at most, and a host that comes back late starts nothing.

What fails is undone: the row is turned back, the guest removed where it was to go and brought back where it was, and
the claim given back. A host that cannot take the server is passed over for the next alternate, as long as the guest is
where it was.
"""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves, volumes
from nova_lite.cells.moves import Before
from nova_lite.conductor import move_claims, move_volumes
from nova_lite.conductor.saga import Definition, Detour, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, agents_on, host_is_down
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.flavor import Flavor, has_smaller_disks
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.migration import FINISHED
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import ACTIONS, TaskState, VmState
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

#: Seconds that a host gets for what must be quick.
_QUICK_S = 30.0
_SET_ASIDE = "set guest aside"
#: What a server is busy with from its hand-over to the cell to the end of its move.
_MOVING = (TaskState.RESIZE_PREP, TaskState.RESIZE_MIGRATING, TaskState.RESIZE_MIGRATED, TaskState.RESIZE_FINISH)


def before(work: Work[CellTools]) -> Before:
    """Return what the server was like before it moved."""
    return msgspec.convert(work.inputs["before"], Before)


def was_running(work: Work[CellTools]) -> bool:
    """Return whether the server ran before it moved."""
    return before(work).vm_state == VmState.ACTIVE


def hold_claim(work: Work[CellTools]) -> None:
    """Do nothing: the claim was made above the cell, and from here on it is this workflow's to give back."""


def give_claim_back(work: Work[CellTools]) -> None:
    """Give the server what it had."""
    move_claims.give_back(work.tools.placement, work.subject, work.inputs["move"])


def ask_hosts(work: Work[CellTools]) -> Facts:
    """See that both hosts can do their part, while the guest still runs."""
    boots_from_volume = bool(work.inputs.get("boots_from_volume"))
    if has_smaller_disks(_flavor(work), before(work).flavor, boots_from_volume=boots_from_volume):
        raise errors.GuestFailed("Unable to resize disk down.")
    agents, chosen = work.tools.agents, new_place(work)
    disks_at = agents.disks_at(before(work).host, work.subject, timeout_s=_QUICK_S)
    try:
        agents.check_reach(chosen.host, disks_at, timeout_s=_QUICK_S)
    except errors.Timeout as exc:
        if host_is_down(work.tools, chosen.host):
            raise errors.HostFailed("The host the server was to move to does not answer.") from exc
        raise
    if not move_volumes.has_any(work):
        return {"disks_at": disks_at}
    return {"disks_at": disks_at, "attachments": move_volumes.attach_at(work, chosen.host)}


def remove_attachments(work: Work[CellTools]) -> None:
    """Have the server's volumes be those of its host alone."""
    if move_volumes.has_any(work):
        move_volumes.remove_others(work.tools, work.subject)


def note_refusal(work: Work[CellTools], session: Session) -> Facts:
    """Write down which host could not take the server, and why."""
    return refused(work, session, event="compute_prep_resize")


def refused(work: Work[CellTools], session: Session, *, event: str) -> Facts:
    """Write down which host could not take the server, and why, and that the action begins anew with ``event``."""
    chosen, reason = new_place(work), str(work.facts["detour"])
    LOG.warning("Server %s cannot move to host %s: %s", work.subject, chosen.host, reason)
    actions.fail_event(
        session,
        instance_uuid=work.subject,
        request_id=work.workflow.request_id,
        error=reason,
        host=chosen.host,
        traceback=work.workflow.traceback,
    )
    actions.begin_again(session, instance_uuid=work.subject, request_id=work.workflow.request_id, event=event)
    return {"failed": [*tried(work), {"node": chosen.node, "reason": reason}]}


def claim_next_host(work: Work[CellTools]) -> Facts:
    """Have the server hold its place on the first alternate that has room; find none if there is none."""
    failed = tried(work)
    for each in _selections(work):
        if each.node in {one["node"] for one in failed}:
            continue
        if any(agent.is_disabled for agent in agents_on(work.tools, each.host)):
            refusal: str | None = "It has been disabled."
        else:
            refusal = move_claims.take_next(work.tools.placement, work.subject, each.allocations)
        if refusal is None:
            return {"failed": failed, "next": msgspec.to_builtins(each)}
        failed = [*failed, {"node": each.node, "reason": refusal}]
    return {"failed": failed, "next": None}


def turn_to_next_host(work: Work[CellTools], session: Session) -> Facts:
    """Write down where the server moves instead; raises what users read when there is no host left."""
    chosen = work.facts["next"]
    if chosen is None:
        raise errors.NoValidHost(
            f"No host is left that the server can move to. The last failure: {work.facts['detour']}"
        )
    migrations.bring_to(
        session, work.inputs["move"], "pre-migrating", dest=moves.place(msgspec.convert(chosen, Selection))
    )
    return {"chosen": chosen}


def begin_migrating(work: Work[CellTools], session: Session) -> None:
    """Let the guest leave its host."""
    instances.change(session, work.subject, expect_task=TaskState.RESIZE_PREP, task_state=TaskState.RESIZE_MIGRATING)
    migrations.bring_to(session, work.inputs["move"], "migrating")
    _next_event(work, session, "compute_resize_instance", host=new_place(work).host)


def set_guest_aside(work: Work[CellTools]) -> None:
    """Have the guest shut down and set aside on its host."""
    was = before(work)
    work.tools.agents.set_aside(was.host, work.subject, was.epoch, timeout_s=max(1.0, work.seconds_left))


def bring_guest_back(work: Work[CellTools]) -> None:
    """Have the guest on its host again, as it was."""
    instance = _turn_back(work)
    take_back(work, instance.epoch, move_volumes.attached(instance.volumes))


def take_back(work: Work[CellTools], epoch: int, volumes: Sequence[BlockDevice]) -> None:
    """Have the server's old host make the guest again of what it set aside, and note how that is."""
    power_state = work.tools.agents.bring_back(
        before(work).host, work.subject, epoch, volumes, start=was_running(work), timeout_s=_QUICK_S
    )
    _note_power(work, power_state)


@retried
def _note_power(work: Work[CellTools], power_state: PowerState) -> None:
    with work.tools.db.writer() as session:
        instances.change(session, work.subject, power_state=power_state)


def hand_over(work: Work[CellTools], session: Session) -> None:
    """Make the server one of the new host: from here on its old host may not start it."""
    chosen, was = new_place(work), before(work)
    boots_from_volume = instances.lock(session, work.subject).boots_from_volume
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.RESIZE_MIGRATING,
        task_state=TaskState.RESIZE_MIGRATED,
        epoch=was.epoch + 1,
        availability_zone=chosen.availability_zone,
        power_state=PowerState.SHUTDOWN,
        **instances.on(chosen.host, chosen.node, chosen.node_name),
        **instances.sized(_flavor(work), boots_from_volume=boots_from_volume),
        **moved_volumes(work, session),
    )
    migrations.bring_to(session, work.inputs["move"], "post-migrating")
    _next_event(work, session, "compute_finish_resize", host=was.host)


def turn_back(work: Work[CellTools]) -> None:
    """Make the server one of its old host again."""
    _turn_back(work)


def begin_finishing(work: Work[CellTools], session: Session) -> None:
    """Let the guest come to its new host."""
    instances.change(session, work.subject, expect_task=TaskState.RESIZE_MIGRATED, task_state=TaskState.RESIZE_FINISH)


def start_guest(work: Work[CellTools]) -> Facts:
    """Have the guest made on its new host, running if it ran."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    power_state = work.tools.agents.receive(
        instance, work.facts["disks_at"], start=was_running(work), timeout_s=max(1.0, work.seconds_left)
    )
    move_volumes.complete(work.tools.volumes, attachments_made(work).values())
    return {"power_state": int(power_state)}


def remove_guest(work: Work[CellTools]) -> None:
    """Have no guest on the new host; one that is down removes it itself when it comes back."""
    instance = _turn_back(work)
    host = new_place(work).host
    left = block_device.at(instance.volumes, {} if host == before(work).host else attachments_made(work))
    discard(work, host, before(work).epoch + 1, left)


def attachments_made(work: Work[CellTools]) -> dict[str, str]:
    """Return the attachments for the new host by the devices' names."""
    return dict(work.facts.get("attachments", {}))


def moved_volumes(work: Work[CellTools], session: Session) -> dict[str, Any]:
    """Return the column that has the server's volumes be those of its new host; nothing of a server without."""
    if not attachments_made(work):
        return {}
    devices = instances.lock(session, work.subject).volumes
    return instances.with_volumes(block_device.moved(devices, attachments_made(work)))


def settled_volumes(work: Work[CellTools], session: Session) -> dict[str, Any]:
    """Return the column that has the server's volumes be its host's alone; nothing of a server without."""
    if not move_volumes.has_any(work):
        return {}
    return instances.with_volumes(block_device.settled(instances.lock(session, work.subject).volumes))


def discard(work: Work[CellTools], host: str, epoch: int, volumes: Sequence[BlockDevice] = ()) -> None:
    """Have the guest of ``epoch`` removed from a host, and its volumes forgotten there, unless that is down."""
    try:
        work.tools.agents.discard(host, work.subject, epoch, volumes, timeout_s=_QUICK_S)
    except errors.Timeout:
        if not host_is_down(work.tools, host):
            raise


def await_confirmation(work: Work[CellTools], session: Session) -> None:
    """Turn the server into one that has moved; its user may confirm that, or revert it."""
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.RESIZE_FINISH,
        vm_state=ACTIONS["resize"].ends_in,
        task_state=None,
        power_state=PowerState(work.facts["power_state"]),
        launched_at=utcnow(),
        scheduling=work.inputs["explanation"],
    )
    migrations.bring_to(session, work.inputs["move"], FINISHED)
    actions.finish_work(
        session,
        work.workflow,
        error=None,
        host=new_place(work).host,
    )


def end_move(work: Work[CellTools], session: Session) -> None:
    """Leave the server what it was, or in ERROR where its guest could not be brought back."""
    reason = work.reason or "An internal error happened."
    migrations.bring_to(session, work.inputs["move"], "error")
    if _SET_ASIDE in work.facts.get("left_behind", []):
        fault = Fault(500, f"{reason} Its host did not take the guest back yet.", utcnow())
        instances.set_fault(session, work.subject, fault, vm_state=VmState.ERROR, task_state=None)
    else:
        instances.change(session, work.subject, task_state=None)
    actions.finish_work(session, work.workflow, error=reason, host=before(work).host)


MOVE = Definition(
    moves.MOVE,
    (
        Step("hold claim", hold_claim, undo=give_claim_back),
        Step(
            "ask hosts",
            ask_hosts,
            undo=remove_attachments,
            detour=Detour(
                errors.HostFailed,
                (
                    Record("note refusal", note_refusal),
                    Step("claim next host", claim_next_host),
                    Record("turn to next host", turn_to_next_host),
                ),
            ),
        ),
        Record("begin migrating", begin_migrating),
        Step(_SET_ASIDE, set_guest_aside, undo=bring_guest_back),
        Record("hand over", hand_over, undo=turn_back),
        Record("begin finishing", begin_finishing),
        Step("start guest", start_guest, undo=remove_guest),
        Record("await confirmation", await_confirmation, no_way_back=True),
    ),
    on_failure=Record("end move", end_move),
    behind=volumes.KINDS,
)


@retried
def _turn_back(work: Work[CellTools]) -> Instance:
    """Make the server one of its old host, if it is not yet, and let it be started there; return it as it is then.

    A server that was handed over comes back with a raised epoch: nothing late may start it on the other host.
    """
    was = before(work)
    with work.tools.db.writer() as session:
        instance = instances.lock(session, work.subject)
        if instance.task_state not in (*_MOVING, TaskState.RESIZE_REVERTING):
            raise errors.Conflict(f"Instance {work.subject} is busy with something else.")
        if instance.epoch == was.epoch + 1:
            instances.change(
                session,
                work.subject,
                task_state=TaskState.RESIZE_REVERTING,
                epoch=was.epoch + 2,
                availability_zone=was.availability_zone,
                **instances.on(was.host, was.node, was.node_name),
                **instances.sized(was.flavor, boots_from_volume=instance.boots_from_volume),
                **instances.with_volumes(block_device.moved_back(instance.volumes, {})),
            )
        else:
            instances.change(session, work.subject, task_state=TaskState.RESIZE_REVERTING)
        return instances.get(session, work.subject)


def new_place(work: Work[CellTools]) -> Selection:
    """Return where the server moves."""
    return msgspec.convert(work.facts.get("chosen") or work.inputs["selections"][0], Selection)


def _selections(work: Work[CellTools]) -> list[Selection]:
    return msgspec.convert(work.inputs["selections"], list[Selection])


def tried(work: Work[CellTools]) -> list[dict[str, Any]]:
    """Return the nodes that could not take the server, and why."""
    return list(work.facts.get("failed", []))


def _flavor(work: Work[CellTools]) -> Flavor:
    """Return what the server is to be."""
    return msgspec.convert(work.inputs["flavor"], Flavor)


def _next_event(work: Work[CellTools], session: Session, event: str, *, host: str) -> None:
    actions.next_event(session, instance_uuid=work.subject, request_id=work.workflow.request_id, event=event, host=host)
