"""Migrate a server live to another host, inside its cell: its guest runs on, here or there.

Up to ``send guest`` the guest is its old host's, and whatever fails is undone. From there on only the hypervisors know
where it runs: the conductor looks until that is settled, and only then writes down whose the server is. See
``docs/decisions/0014-live-migration.rst``.
"""

import logging
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import live_migrations, moves, volumes
from nova_lite.conductor import move_volumes
from nova_lite.conductor.saga import Definition, Detour, Facts, Record, Step, Work
from nova_lite.conductor.workflows.move import (
    attachments_made,
    before,
    claim_next_host,
    give_claim_back,
    hold_claim,
    moved_volumes,
    new_place,
    refused,
    remove_attachments,
    settled_volumes,
)
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations, workflows
from nova_lite.model import block_device
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault
from nova_lite.model.live_migration import Landing, Leaving, Stage
from nova_lite.model.migration import Migration, Progress
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import TaskState, VmState
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

#: Seconds that a host gets for what must be quick, for what may have to make disks, and for one look at a guest.
_QUICK_S, _PREPARE_S, _LOOK_S = 30.0, 300.0, 2.0
#: Turns of several tries each, after which what a host left is left to it.
_PATIENT_TURNS = 2
_ABORTED = "The live migration was aborted."


def check_hosts(work: Work[CellTools]) -> Facts:
    """See that the guest can leave its host, and come to the chosen one."""
    agents, source, chosen = work.tools.agents, before(work).host, new_place(work)
    try:
        leaving = agents.leaving(source, work.subject, timeout_s=_QUICK_S)
    except errors.Timeout as exc:
        if host_is_down(work.tools, source):
            raise errors.Conflict(f"Compute service of {source} is unavailable at this time.") from exc
        raise
    try:
        copies = agents.check_landing(
            chosen.host, work.subject, leaving, copies_disks=work.inputs["copies_disks"], timeout_s=_QUICK_S
        )
    except errors.Timeout as exc:
        if host_is_down(work.tools, chosen.host):
            raise errors.HostFailed(f"Compute service of {chosen.host} is unavailable at this time.") from exc
        raise
    return {"leaving": msgspec.to_builtins(leaving), "copies_disks": copies}


def note_refusal(work: Work[CellTools], session: Session) -> Facts:
    """Write down which host could not take the server, and why."""
    return refused(work, session, event="compute_check_can_live_migrate_destination")


def turn_to_next_host(work: Work[CellTools], session: Session) -> Facts:
    """Write down where the server goes instead; raises what users read when there is no host left."""
    chosen = work.facts["next"]
    if chosen is None:
        raise errors.NoValidHost(
            f"No host is left that the server can be migrated to. The last failure: {work.facts['detour']}"
        )
    place = moves.place(msgspec.convert(chosen, Selection))
    migrations.bring_to(session, work.inputs["move"], "accepted", dest=place)
    return {"chosen": chosen}


def queue(work: Work[CellTools], session: Session) -> None:
    """Have the server wait for its turn."""
    migrations.bring_to(session, work.inputs["move"], "queued")
    _next_event(work, session, "compute_live_migration")


def take_turn(work: Work[CellTools], session: Session) -> None:
    """Begin when not too many guests leave the host already."""
    _refuse_aborted(_migration(work, session))
    most = work.tools.conf.max_concurrent_live_migrations
    if most and migrations.leaving_live(session, before(work).host) >= most:
        raise errors.NotYet("Other guests leave the host first.")
    migrations.bring_to(session, work.inputs["move"], "preparing")


def prepare_destination(work: Work[CellTools]) -> Facts:
    """Have ready on the new host what the guest needs there."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    chosen, was = new_place(work), before(work)
    attachments = move_volumes.attach_at(work, chosen.host, is_settled=True) if move_volumes.has_any(work) else {}
    there = replace(
        instance,
        host=chosen.host,
        node=chosen.node,
        node_name=chosen.node_name,
        epoch=was.epoch + 1,
        volumes=block_device.moved(instance.volumes, attachments),
    )
    landing = work.tools.agents.prepare_landing(
        there,
        work.inputs["move"],
        msgspec.convert(work.facts["leaving"], Leaving),
        copies_disks=work.facts["copies_disks"],
        timeout_s=_PREPARE_S,
    )
    return {"landing": msgspec.to_builtins(landing), **({"attachments": attachments} if attachments else {})}


def clear_destination(work: Work[CellTools]) -> None:
    """Have nothing left on the new host; one that is down removes a guest by itself when it comes back."""
    host = new_place(work).host
    try:
        _abandon(work)
    except errors.Timeout:
        if not host_is_down(work.tools, host):
            raise
    remove_attachments(work)


def begin_running(work: Work[CellTools], session: Session) -> None:
    """Let the guest leave: from here on only the hypervisors know where it runs."""
    _refuse_aborted(_migration(work, session))
    migrations.bring_to(session, work.inputs["move"], "running")


def send_guest(work: Work[CellTools]) -> Facts | None:
    """Have the old host begin to send the guest; what it cannot is a reason to stay, not to fail."""
    landing = msgspec.convert(work.facts["landing"], Landing)
    try:
        work.tools.agents.depart(
            before(work).host, work.subject, work.inputs["move"], landing, timeout_s=max(_LOOK_S, _QUICK_S)
        )
    except errors.NovaLiteError as exc:
        if exc.will_pass and work.seconds_left > 0 and not host_is_down(work.tools, before(work).host):
            raise
        return {"refused": exc.message}
    return None


def follow_guest(work: Work[CellTools]) -> Facts:
    """Look at the guest until it is settled where it is, telling its host what is asked; return the outcome."""
    source = before(work).host
    try:
        found = work.tools.agents.departure(source, work.subject, wait_s=_LOOK_S)
    except errors.Unavailable:
        if not host_is_down(work.tools, source):
            raise
        return _without_source(work)
    if found.stage is Stage.LEAVING:
        _note_progress(work, found.progress)
        _pass_on_wishes(work)
        raise errors.NotYet("The guest is on its way.", again_s=0.0)  # its host waits for us
    if found.stage is Stage.GONE:
        _note_progress(work, found.progress)
        return {"outcome": "arrived"}
    if found.stage is Stage.UNSETTLED:
        return _by_the_new_hosts_word(work)
    if found.stage is Stage.LOST:
        return {"outcome": "lost", "why": found.reason or "The guest was lost between two hosts."}
    with work.tools.db.reader() as session:
        aborted = _migration(work, session).asked.abort is not None
    why = work.facts.get("refused") or found.reason or "The guest could not be sent."
    return {"outcome": "aborted" if aborted else "failed", "why": _ABORTED if aborted else why}


def settle(work: Work[CellTools], session: Session) -> None:
    """Write down whose the server is: from here on nobody else may start it."""
    if not _has_arrived(work):
        return
    chosen, was = new_place(work), before(work)
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.MIGRATING,
        epoch=was.epoch + 1,
        availability_zone=chosen.availability_zone,
        **instances.on(chosen.host, chosen.node, chosen.node_name),
        **moved_volumes(work, session),
    )
    migrations.bring_to(session, work.inputs["move"], "post-migrating")
    _next_event(work, session, "compute_post_live_migration_at_destination")


def finish_at_destination(work: Work[CellTools]) -> Facts | None:
    """Make the guest one of its new host; or have nothing left there of one that did not come."""
    if not _has_arrived(work):
        clear_destination(work)
        return None
    host = new_place(work).host
    try:
        power_state = work.tools.agents.finish_landing(
            host, work.subject, work.inputs["move"], before(work).epoch + 1, timeout_s=_QUICK_S
        )
    except errors.NotFound:
        return {"vanished": True}
    except errors.Unavailable as exc:
        if work.workflow.attempt <= _PATIENT_TURNS or not host_is_down(work.tools, host):
            raise
        LOG.warning("Server %s came to host %s, which does not answer: %s", work.subject, host, exc)
        return None
    move_volumes.complete(work.tools.volumes, attachments_made(work).values())
    return {"power_state": int(power_state)}


def clear_source(work: Work[CellTools]) -> None:
    """Have nothing left on the old host of a guest that has gone; one that is down is left to itself."""
    if not _has_arrived(work):
        return
    host, left = before(work).host, move_volumes.left_behind(work)
    try:
        work.tools.agents.clear_departed(host, work.subject, work.inputs["move"], left, timeout_s=_QUICK_S)
    except errors.NovaLiteError as exc:
        if work.workflow.attempt <= _PATIENT_TURNS and not host_is_down(work.tools, host):
            raise
        LOG.warning("What guest %s left on host %s is left to it: %s", work.subject, host, exc)


def settle_claim(work: Work[CellTools]) -> None:
    """Free what the server had; or give it back to one that stays."""
    if _has_arrived(work):
        if move_volumes.has_any(work):
            move_volumes.remove_old(work.tools, work.subject)
        work.tools.placement.release(work.inputs["move"])
    else:
        give_claim_back(work)


def end(work: Work[CellTools], session: Session) -> None:
    """Leave the server at rest where it is, and say how that came."""
    outcome = work.facts["outcome"]
    if outcome == "lost" or work.facts.get("vanished"):
        reason = str(work.facts.get("why", "The guest was not found on the host it was sent to."))
        _end(work, session, "error", reason, in_error=True, **settled_volumes(work, session))
    elif outcome == "arrived":
        values: dict[str, Any] = {"scheduling": work.inputs["explanation"], **settled_volumes(work, session)}
        if "power_state" in work.facts:
            values["power_state"] = PowerState(work.facts["power_state"])
        _end(work, session, "completed", None, **values)
    else:
        _end(work, session, "cancelled" if outcome == "aborted" else "failed", str(work.facts["why"]))


def end_undone(work: Work[CellTools], session: Session) -> None:
    """Leave the server what it was, on the host that it never left."""
    aborted = _migration(work, session).asked.abort is not None and work.reason == _ABORTED
    _end(work, session, "cancelled" if aborted else "error", work.reason or "An internal error happened.")


def call_next(work: Work[CellTools]) -> list[str]:
    """Have the server that has waited longest to leave this host look again whether it may."""
    with work.tools.db.writer() as session:
        waiting = migrations.waiting_to_leave(session, before(work).host)
        if waiting is None:
            return []
        uuid = moves.workflow_uuid(waiting, moves.LIVE)
        workflows.hasten(session, CellWorkflowRow, uuid)
    return [uuid]


LIVE_MIGRATE = Definition(
    moves.LIVE,
    (
        Step("hold claim", hold_claim, undo=give_claim_back),
        Step(
            "check hosts",
            check_hosts,
            detour=Detour(
                errors.HostFailed,
                (
                    Record("note refusal", note_refusal),
                    Step("claim next host", claim_next_host),
                    Record("turn to next host", turn_to_next_host),
                ),
            ),
        ),
        Record("queue", queue),
        Record("take turn", take_turn),
        Step("prepare destination", prepare_destination, undo=clear_destination),
        Record("begin running", begin_running),
        Step("send guest", send_guest, no_way_back=True),
        Step("follow guest", follow_guest, no_way_back=True),
        Record("settle", settle, no_way_back=True),
        Step("finish at destination", finish_at_destination, no_way_back=True),
        Step("clear source", clear_source, no_way_back=True),
        Step("settle claim", settle_claim, no_way_back=True),
        Record("end", end, no_way_back=True),
    ),
    on_failure=Record("end undone", end_undone),
    behind=volumes.KINDS,
    afterwards=call_next,
)


def _has_arrived(work: Work[CellTools]) -> bool:
    return bool(work.facts["outcome"] == "arrived")


def _without_source(work: Work[CellTools]) -> Facts:
    """Say how it ended by the new host's word: the old one is down, and what it knew is lost or out of reach."""
    try:
        has_come = _abandon(work)
    except errors.Unavailable:
        if work.seconds_left > 0 or not host_is_down(work.tools, new_place(work).host):
            raise
        has_come = False  # nobody knows: the server is left where it was last known to be
    return {"outcome": "arrived"} if has_come else {"outcome": "failed", "why": "The server's host does not answer."}


def _by_the_new_hosts_word(work: Work[CellTools]) -> Facts:
    """Say how it ended when the guest stands still on its old host: it goes on there unless the new one has it."""
    if _abandon(work):
        return {"outcome": "arrived"}
    work.tools.agents.stay(before(work).host, work.subject, work.inputs["move"])
    raise errors.NotYet("The guest goes on on its old host.")


def _abandon(work: Work[CellTools]) -> bool:
    host, left = new_place(work).host, move_volumes.unnoted(work)
    return work.tools.agents.abandon_landing(
        host, work.subject, work.inputs["move"], before(work).epoch + 1, left, timeout_s=_QUICK_S
    )


def _pass_on_wishes(work: Work[CellTools]) -> None:
    """Tell the old host what was asked; one that does not answer hears it at the next look."""
    with work.tools.db.reader() as session:
        asked = _migration(work, session).asked
    host, agents = before(work).host, work.tools.agents
    try:
        if asked.abort is not None or work.seconds_left <= 0:
            agents.stay(host, work.subject, work.inputs["move"])
        elif asked.hurry is not None:
            agents.hurry(host, work.subject, work.inputs["move"])
    except errors.NovaLiteError as exc:
        LOG.warning("Host %s could not be told what is asked of migration %s: %s", host, work.inputs["move"], exc)


@retried
def _note_progress(work: Work[CellTools], progress: Progress) -> None:
    """Write down how far the guest is, as far as its host knows: nothing, when it has gone."""
    if progress.memory_total is None:
        return
    with work.tools.db.writer() as session:
        migrations.note_progress(session, work.inputs["move"], progress)


def _migration(work: Work[CellTools], session: Session) -> Migration:
    found = migrations.get(session, work.inputs["move"])
    if found is None:
        raise errors.NotFound(f"Migration {work.inputs['move']} is gone.")
    return found


def _refuse_aborted(migration: Migration) -> None:
    if migration.asked.abort is not None:
        raise errors.Conflict(_ABORTED)


def _next_event(work: Work[CellTools], session: Session, event: str) -> None:
    host = before(work).host
    actions.next_event(session, instance_uuid=work.subject, request_id=work.workflow.request_id, event=event, host=host)


def _end(
    work: Work[CellTools],
    session: Session,
    status: str,
    error: str | None,
    *,
    in_error: bool = False,
    **values: Any,
) -> None:
    migration = _migration(work, session)
    migrations.bring_to(session, migration.uuid, status)
    if in_error:
        fault = Fault(500, error or "", utcnow())
        instances.set_fault(session, work.subject, fault, vm_state=VmState.ERROR, task_state=None, **values)
    else:
        instances.change(session, work.subject, expect_task=TaskState.MIGRATING, task_state=None, **values)
    host = before(work).host
    actions.finish_work(session, work.workflow, error=error, host=host)
    live_migrations.end_wishes(session, migration, host=host)
