"""Build a server on the host that was chosen and claimed for it, inside its cell; should that fail, on the next one.

The scheduler named alternates in the same cell, with what the server would take there; nobody above the cell is asked
again. What failed so far is in the fact ``failed``: a list of ``host``, ``node``, ``reason``.

One row says where the server is being built and one claim what it holds, and neither is ever missing in between: the
row's epoch is raised as soon as a host has failed, so that nothing late is started there, and the claim is moved to the
next host in one step, which Placement refuses if a delete has taken it meanwhile.
"""

import logging
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.clients.placement import Holding
from nova_lite.conductor.saga import Definition, Detour, Facts, Record, Step, Work
from nova_lite.conductor.workflows import boot_volumes
from nova_lite.conductor.workflows.tools import CellTools, agents_on, end_in_error, end_well, host_is_down
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, build_failures, builds, instances
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import PowerState
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import ACTIONS
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

#: Seconds a host gets to remove a guest.
_DESTROY_S = 30.0
#: Turns at one step, of several tries each, in which a silent host that reports may yet answer.
_PATIENT_TURNS = 2
_NO_ROOM = "It has no room any more."


def spawn_guest(work: Work[CellTools]) -> Facts:
    """Have the host make and start the guest."""
    with work.tools.db.reading() as connection:
        instance = instances.get(connection, work.subject)
    if instance.host is None:
        raise errors.NovaLiteError("A server being built has no host.", instance=work.subject)
    try:
        power_state = work.tools.agents.build(instance, timeout_s=max(1.0, work.seconds_left))
    except errors.Timeout as exc:
        is_mute = work.workflow.attempt > _PATIENT_TURNS and any(
            each.node != instance.node for each in _alternates(work)
        )
        if is_mute or host_is_down(work.tools, instance.host):
            raise errors.HostFailed("The host that was to start the server does not answer.") from exc
        raise
    boot_volumes.complete_attachments(work, instance)
    return {"power_state": int(power_state), "node": instance.node}


def destroy_guest(work: Work[CellTools]) -> None:
    """Remove what there is of the guest.

    The epoch is raised first, so that a build message still on its way finds the door shut. A host that is down
    removes the guest itself when it comes back.
    """
    host = _fence_off(work)
    if host is not None and host != work.facts.get("left_to"):
        try:
            work.tools.agents.destroy(host, work.subject, _volumes(work), timeout_s=_DESTROY_S)
        except errors.Timeout:
            if not host_is_down(work.tools, host):
                raise


def give_back(work: Work[CellTools]) -> None:
    """Give back what the server holds: its claim, for no guest takes anything from it any more, and its volumes."""
    work.tools.placement.release(work.subject)
    boot_volumes.give_up_volumes(work)


@retried
def _fence_off(work: Work[CellTools]) -> str | None:
    """Let nobody build the server any more; return its host."""
    with work.tools.db.writer() as session:
        instance = instances.lock(session, work.subject)
        instances.change(session, work.subject, expect_task=ACTIONS["create"].while_busy, epoch=instance.epoch + 1)
    return instance.host


def note_failure(work: Work[CellTools], session: Session) -> Facts:
    """Shut the door of the host that failed, and write down that it did and why."""
    reason = str(work.facts["detour"])
    instance = instances.lock(session, work.subject)
    LOG.warning("Host %s could not build %s: %s", instance.host, work.subject, reason)
    instances.change(session, work.subject, expect_task=ACTIONS["create"].while_busy, epoch=instance.epoch + 1)
    actions.fail_event(
        session,
        instance_uuid=work.subject,
        request_id=work.workflow.request_id,
        error=reason,
        host=instance.host,
        traceback=work.workflow.traceback,
    )
    # Those above may have taken some back until now; from here on they ask no more.
    selections = builds.selections(session, work.workflow.uuid)
    limit = work.tools.conf.compute.consecutive_build_service_disable_threshold
    if instance.node is not None and limit:
        build_failures.add(session, instance.node, at_most=limit)
    failed = [*_failed(work), {"host": instance.host, "node": instance.node, "reason": reason}]
    return {"failed": failed, "selections": selections}


def clear_host(work: Work[CellTools]) -> Facts | None:
    """Remove what there is of the guest on the host that failed; one that cannot do it now does it by itself later.

    Volumes are reserved anew, so that this host reaches them no more.
    """
    host = _failed(work)[-1]["host"]
    facts = _cleared(work, host)
    boot_volumes.renew_attachments(work)
    return facts


def _cleared(work: Work[CellTools], host: str) -> Facts | None:
    try:
        work.tools.agents.destroy(host, work.subject, _volumes(work), timeout_s=_DESTROY_S)
    except errors.Timeout:
        if work.workflow.attempt <= _PATIENT_TURNS and not host_is_down(work.tools, host):
            raise
        return {"left_to": host}
    except errors.NovaLiteError as exc:
        if not work.may_have_run:
            raise errors.Unavailable(f"The guest could not be removed: {exc.message}") from exc
        # It failed at making the guest, and now twice at removing it: nobody shall wait until it is mended.
        LOG.warning("Guest %s is left to its host %s: %s %s", work.subject, host, exc, exc.facts)
        return {"left_to": host}
    return None


def claim_next_host(work: Work[CellTools]) -> Facts:
    """Move the server's claim to the first alternate not yet tried that has room; find none if there is none."""
    waiting, tried = _alternates(work), _failed(work)
    if not waiting:
        return {"next": None}
    held = work.tools.placement.holding(work.subject)
    if held is None:
        raise errors.Conflict("What the server holds in Placement is gone.")
    # An earlier attempt may have come this far.
    chosen = next((each for each in waiting if each.allocations == held.allocations), None)
    for each in _most_promising_first(work, waiting) if chosen is None else []:
        refusal = _refusal(work, each, held)
        if refusal is None:
            chosen = each
            break
        tried = [*tried, {"host": each.host, "node": each.node, "reason": refusal}]
    return {"failed": tried, "next": msgspec.to_builtins(chosen)}


def _refusal(work: Work[CellTools], alternate: Selection, held: Holding) -> str | None:
    """Move the claim to an alternate; return why that cannot be, or None when it is done."""
    if any(agent.is_disabled for agent in agents_on(work.tools, alternate.host)):
        return "It has been disabled."
    try:
        work.tools.placement.hold(
            work.subject,
            alternate.allocations,
            held.generation,
            project_id=held.project_id,
            user_id=held.user_id,
        )
    except errors.Invalid:
        return "It is not known to Placement any more."
    except errors.Conflict as exc:
        if exc.code == "placement.concurrent_update":
            raise errors.Unavailable("Somebody else changes what the server holds.") from exc
        return _NO_ROOM
    return None


def move_to_next_host(work: Work[CellTools], session: Session) -> None:
    """Write down that the server is built on the next host; raises what users read when there is none."""
    if work.facts["next"] is None:
        raise _no_host_left(work)
    chosen = msgspec.convert(work.facts["next"], Selection)
    instances.change(
        session,
        work.subject,
        expect_task=ACTIONS["create"].while_busy,
        host=chosen.host,
        node=chosen.node,
        node_name=chosen.node_name,
        availability_zone=chosen.availability_zone,
        scheduling=_explained(work, session),
    )
    actions.begin_again(
        session,
        instance_uuid=work.subject,
        request_id=work.workflow.request_id,
        event=operations.EVENTS[work.workflow.kind],
    )


def mark_active(work: Work[CellTools], session: Session) -> None:
    """Turn the server into a running one."""
    end_well(work, session, launched_at=utcnow())
    if work.facts.get("node") is not None:
        build_failures.forget(session, work.facts["node"])


def give_up(work: Work[CellTools], session: Session) -> None:
    """Leave the server in ERROR, on no host."""
    details = "\n".join(f"{each['host']}: {each['reason']}" for each in _failed(work))
    on_no_host = {"host": None, "node": None, "node_name": None, "power_state": PowerState.NOSTATE}
    end_in_error(work, session, details=details, scheduling=_explained(work, session), **on_no_host)


BUILD = Definition(
    "create",
    (
        Step("await volumes", boot_volumes.await_volumes, undo=give_back, kept=True),
        Step(
            "spawn guest",
            spawn_guest,
            undo=destroy_guest,
            kept=True,
            detour=Detour(
                errors.HostFailed,
                (
                    Record("note failure", note_failure),
                    Step("clear host", clear_host),
                    Step("claim next host", claim_next_host),
                    Record("move to next host", move_to_next_host),
                ),
            ),
        ),
        Record("mark active", mark_active, no_way_back=True),
    ),
    on_failure=Record("give up", give_up),
)


def _volumes(work: Work[CellTools]) -> tuple[BlockDevice, ...]:
    return boot_volumes.read(work).volumes if boot_volumes.has_volumes(work) else ()


def _failed(work: Work[CellTools]) -> list[dict[str, Any]]:
    return list(work.facts.get("failed", []))


def _alternates(work: Work[CellTools]) -> list[Selection]:
    """Return the hosts the scheduler named that have not been tried yet, best first."""
    tried = {each["node"] for each in _failed(work)}
    named = msgspec.convert(work.facts.get("selections", work.inputs["selections"]), list[Selection])
    return [each for each in named if each.node not in tried]


def _most_promising_first(work: Work[CellTools], waiting: list[Selection]) -> list[Selection]:
    """Return alternates with those that count as down at the end: there is no better use for them, and all may be."""
    return sorted(waiting, key=lambda each: host_is_down(work.tools, each.host))


def _explained(work: Work[CellTools], session: Session) -> dict[str, Any]:
    """Return how the server came to its host, with where it was tried before."""
    failed = [{"host": each["host"], "reason": each["reason"]} for each in _failed(work)]
    known = instances.get(session, work.subject).scheduling
    return {**known, "failed": failed} if failed else known


def _no_host_left(work: Work[CellTools]) -> errors.NovaLiteError:
    """Return the error for users; which hosts were tried, and why each failed, is for administrators."""
    count, reason = len(_failed(work)), str(work.facts["detour"])
    if count == 1:
        return errors.HostFailed(reason)
    return errors.NoValidHost(
        f"Exceeded maximum number of retries: {count} hosts were tried. The last failure: {reason}"
    )
