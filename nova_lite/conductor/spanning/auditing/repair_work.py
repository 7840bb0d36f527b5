"""Repairs of servers that are busy with nobody at work, and of moves that nobody knows of."""

import uuid as uuids

from sqlalchemy.orm import Session

from nova_lite.cells import accounting, operations
from nova_lite.cells.operations import Requester
from nova_lite.conductor import move_claims
from nova_lite.conductor.spanning.auditing.findings import Finding
from nova_lite.conductor.spanning.auditing.tools import RepairTools, server_at_rest
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances, migrations
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault
from nova_lite.model.migration import FINISHED, Migration
from nova_lite.model.sightings import SeenServer
from nova_lite.model.states import ACTIONS, TaskState, VmState
from nova_lite.rpc.conductor import ConductorClient

#: Tasks after which the server is what it was before: nothing of its host, size or disk is being changed.
_HARMLESS = frozenset(rule.while_busy for rule in ACTIONS.values() if rule.fails_in is None) - {
    TaskState.RESIZE_CONFIRMING,
    TaskState.RESIZE_REVERTING,
    TaskState.REBUILDING,
    TaskState.MIGRATING,
    TaskState.SHELVING_OFFLOADING,
    TaskState.UNSHELVING,
}


def end_task(tools: RepairTools, finding: Finding) -> bool:
    """End what a server is busy with as if it had failed; a delete is begun again."""
    cell = tools.cell(finding.cell)
    begun: str | None = None
    with server_at_rest(tools, cell, finding.subject) as (session, server):
        if server is None or _evidence(server) != finding.evidence:
            return False
        moves = migrations.open_of(session, server.uuid)
        if server.task_state == TaskState.DELETING:
            begun = _delete_again(tools, session, server)
        else:
            _end_task(session, server, moves)
    if begun is not None:
        ConductorClient(cell.bus).wake(begun)
        return True
    for move in moves:
        _give_back(tools, server, move)
    accounting.settle(tools.api_db, cell.db, finding.subject, "")
    return True


def _evidence(server: SeenServer) -> tuple[object, ...]:
    return (server.epoch, server.updated_at, server.task_state, server.vm_state)


def _delete_again(tools: RepairTools, session: Session, server: SeenServer) -> str | None:
    instances.change(session, server.uuid, task_state=None)
    requester = Requester(server.user_id, server.project_id, f"req-{uuids.uuid4()}")
    workflow = operations.begin_delete(session, server.uuid, requester, timeout_s=tools.conf.operation_timeout)
    return None if workflow is None else workflow.uuid


def _end_task(session: Session, server: SeenServer, moves: list[Migration]) -> None:
    actions.interrupt(session, server.uuid, by="audit")
    task = server.task_state
    if task in _HARMLESS and server.vm_state != VmState.BUILDING:
        instances.change(session, server.uuid, task_state=None)
        status = "error"
    elif task == TaskState.RESIZE_CONFIRMING:
        is_off = instances.get(session, server.uuid).power_state is PowerState.SHUTDOWN
        instances.change(session, server.uuid, vm_state=VmState.STOPPED if is_off else VmState.ACTIVE, task_state=None)
        status = "confirmed"
    else:
        message = f"What the server was busy with ({task or 'its build'}) was lost, and nobody was at work on it."
        instances.set_fault(
            session, server.uuid, Fault(500, message, utcnow()), vm_state=VmState.ERROR, task_state=None
        )
        status = "error"
    for move in moves:
        migrations.bring_to(session, move.uuid, status)


def end_move(tools: RepairTools, finding: Finding) -> bool:
    """End a move that neither work nor its server knows of."""
    cell, instance = tools.cell(finding.cell), str(finding.detail["instance"])
    with cell.db.reader() as session:
        is_gone = migrations.get(session, finding.subject) is None
    if is_gone:
        return False
    with server_at_rest(tools, cell, instance) as (session, server):
        move = migrations.get(session, finding.subject)
        status, updated_at, known = finding.evidence
        seen_server = None if server is None else (server.epoch, server.updated_at)
        if move is None or move.status != status or seen_server != known:
            return False
        if (move.updated_at or move.created_at) != updated_at:
            return False
        is_there = server is not None and move.dest is not None and server.host == move.dest.host
        ended = "confirmed" if is_there and status == FINISHED else "error"
        migrations.bring_to(session, move.uuid, "cancelled" if server is None else ended)
    _give_back(tools, server, move)
    if server is not None:
        accounting.settle(tools.api_db, cell.db, instance, "")
    return True


def _give_back(tools: RepairTools, server: SeenServer | None, move: Migration) -> None:
    """Give a server that is where it was what it had; free what it had where it is not any more."""
    if server is not None and server.host == move.source.host and (move.dest is None or move.dest != move.source):
        move_claims.give_back(tools.placement, server.uuid, move.uuid)
    else:
        tools.placement.release(move.uuid)
