"""Repairs of what is held in Placement. Each names the generation it saw: what changed since is left alone."""

from nova_lite import errors
from nova_lite.cells import orphans
from nova_lite.cells.orphans import Orphan
from nova_lite.clients.placement import Holding
from nova_lite.conductor.spanning.auditing.claims import Due
from nova_lite.conductor.spanning.auditing.findings import Finding
from nova_lite.conductor.spanning.auditing.tools import RepairTools, is_worked_on_above
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import claimants, migrations, sightings, workflows
from nova_lite.model.claims import Held, totals
from nova_lite.model.migration import OVER

_STALE = "placement.concurrent_update"


def free_orphan(tools: RepairTools, finding: Finding) -> bool:
    """Free what somebody holds who is nobody; return False when it is not as it was found any more.

    Raises Conflict when the consumer is of a kind that others make.
    """
    held = tools.placement.holding(finding.subject)
    if held is None or held.allocations != finding.detail["held"]:
        return False
    if held.consumer_type not in orphans.OURS:
        raise errors.Conflict(f"It is a {held.consumer_type}, which is none of ours.")
    return not _is_somebody(tools, finding.subject) and orphans.free(tools.placement, Orphan(finding.subject, held))


def _is_somebody(tools: RepairTools, consumer: str) -> bool:
    """Return whether a consumer lives, moves, is being made or worked on. Raises Unavailable when a cell is silent."""
    with tools.api_db.reader() as session:
        unborn = consumer in claimants.mapped(session, [consumer]) and sightings.is_unborn(session, consumer)
        if unborn or is_worked_on_above(session, consumer):
            return True
    for cell in tools.all_cells():
        with cell.db.reader() as session:
            if claimants.living(session, [consumer]) or claimants.at_work(session, CellWorkflowRow, [consumer]):
                return True
    return False


def hold_due(tools: RepairTools, finding: Finding) -> bool:
    """Have a server, or a move that may be reverted, hold what it is due and nothing else."""
    due: Due = finding.detail["due"]
    held = tools.placement.holding(due.consumer)
    if ({} if held is None else held.allocations) != finding.detail["held"] or not _is_as_seen(tools, due):
        return False
    wanted = _wanted(tools, due, held)
    try:
        tools.placement.hold(
            due.consumer,
            wanted,
            None if held is None else held.generation,
            project_id=due.project_id,
            user_id=due.user_id,
        )
    except (errors.Conflict, errors.Invalid) as exc:
        if exc.code == _STALE:
            return False
        raise
    if not _is_as_seen(tools, due):
        # Deleted while it was written: the delete may have freed too early.
        if not _is_somebody(tools, due.consumer):
            tools.placement.release(due.consumer)
        return False
    return True


def _wanted(tools: RepairTools, due: Due, held: Holding | None) -> Held:
    if due.node is None or due.amounts is None:
        return {}
    mine = _own_part(tools, due, {} if held is None else held.allocations)
    return mine or tools.spread(due.node, due.amounts, due.flavor, due.image_properties)


def _own_part(tools: RepairTools, due: Due, held: Held) -> dict[str, dict[str, int]] | None:
    """Return what is held of the right host, if that alone is what is due: the rest is too much."""
    tree = {str(provider["uuid"]) for provider in tools.placement.tree(due.node or "")}
    part = {provider: dict(amounts) for provider, amounts in held.items() if provider in tree}
    return part if part and totals(part) == dict(due.amounts or {}) else None


def _is_as_seen(tools: RepairTools, due: Due) -> bool:
    """Return whether a server, or a move, is as it was seen, with nobody at work on it."""
    with tools.api_db.reader() as session:
        if is_worked_on_above(session, due.consumer, due.instance):
            return False
    with tools.cell(due.cell).db.reader() as session:
        if workflows.subjects_at_work(session, CellWorkflowRow, [due.instance]):
            return False
        if due.consumer != due.instance:
            move = migrations.get(session, due.consumer)
            return move is not None and move.status not in OVER and (move.status, move.updated_at) == due.evidence
        server = sightings.peek(session, due.cell, due.instance)
        return server is not None and (server.epoch, server.updated_at) == due.evidence
