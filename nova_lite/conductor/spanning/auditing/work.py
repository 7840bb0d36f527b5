"""Whether somebody is at work wherever a row says so: pure."""

from collections.abc import Iterator

from nova_lite.conductor.saga import UNDO_GRACE_S
from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.model.migration import DONE, FINISHED, MigrationKind
from nova_lite.model.sightings import Seen, SeenMove, SeenServer
from nova_lite.model.states import TaskState, VmState

#: Seconds after which a workflow that nobody runs is told: many leases and scans.
IDLE_S = 120.0
#: Seconds that a workflow may be open beyond its deadline and the time for undoing.
LATE_S = UNDO_GRACE_S + 60.0
#: Moves during which the guest may run on either host, whatever the server's row says: nobody can end them from here.
_AFOOT = (MigrationKind.LIVE, MigrationKind.EVACUATION)


def tasks(seen: Seen) -> Iterator[Finding]:
    """Tell servers that are busy, or being built, with nobody at work on them."""
    for uuid, rows in seen.servers.items():
        if uuid in seen.busy or len(rows) != 1:
            continue
        (row,) = rows
        mapping = seen.mappings.get(uuid)
        if mapping is None or mapping.cell != row.cell:
            continue
        if row.task_state is not None or row.vm_state == VmState.BUILDING:
            text = f"it is {row.vm_state}, busy with {row.task_state or 'nothing'}, and no workflow is about it"
            evidence = (row.epoch, row.updated_at, row.task_state, row.vm_state)
            is_afoot = row.task_state == TaskState.MIGRATING or any(move.kind in _AFOOT for move in seen.moves_of(uuid))
            yield Finding(Kind.TASK_WITHOUT_WORK, uuid, text, row.cell, evidence, is_told_only=is_afoot)


def moves(seen: Seen) -> Iterator[Finding]:
    """Tell moves that are open and that neither work nor their servers know of, and servers that wait for none."""
    for move in seen.moves.values():
        if move.instance_uuid in seen.busy or move.uuid in seen.busy:
            continue
        if move.kind == MigrationKind.EVACUATION and move.status == DONE:
            continue  # what its old host has is that host's to clean up
        rows = seen.servers.get(move.instance_uuid, [])
        if len(rows) > 1 or (rows and rows[0].task_state is not None):
            continue  # told as that
        if not rows and not seen.is_whole:
            continue
        server = rows[0] if rows else None
        if server is not None and server.vm_state == VmState.RESIZED and move.status == FINISHED:
            continue
        yield _stray(move, server)
    for uuid in list(seen.servers):
        server = seen.at_rest(uuid)
        if server is None or server.vm_state != VmState.RESIZED:
            continue
        if not any(move.status == FINISHED for move in seen.moves_of(uuid)):
            text = f"it waits to be confirmed on {server.host}, and no move of it is open"
            yield Finding(Kind.RESIZED_WITHOUT_MOVE, uuid, text, server.cell, (server.epoch, server.updated_at))


def _stray(move: SeenMove, server: SeenServer | None) -> Finding:
    where = "is gone" if server is None else f"is {server.vm_state} on {server.host}"
    text = (
        f"it is {move.status} ({move.kind} of server {move.instance_uuid} from {move.source_host} to "
        f"{move.dest_host or 'nowhere yet'}), nobody is at work on it, and the server {where}"
    )
    known = server is None or (move.kind not in _AFOOT and server.host in (move.source_host, move.dest_host))
    evidence = (move.status, move.updated_at, None if server is None else (server.epoch, server.updated_at))
    detail = {"instance": move.instance_uuid}
    return Finding(Kind.MOVE_WITHOUT_WORK, move.uuid, text, move.cell, evidence, detail, is_told_only=not known)


def workflows(seen: Seen) -> Iterator[Finding]:
    """Tell open workflows that nobody runs, or that are late beyond measure."""
    for work in seen.works:
        where = f"cell {work.cell}" if work.cell else "above the cells"
        text = f"{work.kind} of {work.subjects[0]} ({where}) is {work.status} at step {work.step}"
        if work.reason:
            text += f" ({work.reason})"
        if work.idle_s > IDLE_S:
            yield Finding(Kind.WORK_IDLE, work.uuid, text, work.cell, (work.step, work.status))
        elif work.late_s > LATE_S:
            yield Finding(Kind.WORK_OVERDUE, work.uuid, text, work.cell, (work.step, work.status))
