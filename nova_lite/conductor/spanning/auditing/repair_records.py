"""Repairs of mappings, instances, what was asked for them, groups and counts.

Each looks again under the lock of what it changes, and returns False when that is not any more what was found.
"""

import uuid as uuids

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import accounting
from nova_lite.conductor.spanning.auditing.findings import Finding
from nova_lite.conductor.spanning.auditing.tools import RepairTools, cells_having, is_worked_on_above, server_at_rest
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import build_requests, instances, mappings, sightings, unmapped, workflows
from nova_lite.db.repositories.unmapped import FoundInstance
from nova_lite.model.sightings import SeenMapping
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Workflow


def _held_mapping(session: Session, uuid: str) -> SeenMapping | None:
    """Return a mapping, held until the transaction ends; None when it is gone, or work is about it."""
    mapping = sightings.mapping(session, uuid)
    return None if mapping is None or is_worked_on_above(session, uuid) else mapping


def point_mapping(tools: RepairTools, finding: Finding) -> bool:
    """Point a mapping at the cell that has its server."""
    wrong, right = finding.detail["from"], str(finding.detail["to"])
    with tools.api_db.writer() as session:
        mapping = _held_mapping(session, finding.subject)
        if mapping is None or mapping.cell != wrong:
            return False
        if [cell for cell, lives in cells_having(tools, finding.subject).items() if lives] != [right]:
            return False
        sightings.point_at(session, finding.subject, right)
    return True


def remove_mapping(tools: RepairTools, finding: Finding) -> bool:
    """Forget a server that no cell has."""
    with tools.api_db.writer() as session:
        mapping = _held_mapping(session, finding.subject)
        if mapping not in finding.evidence or cells_having(tools, finding.subject):
            return False
        sightings.forget_request(session, finding.subject)
        sightings.leave_groups(session, finding.subject)
        mappings.remove_instances(session, [finding.subject])
    return True


def stop_counting(tools: RepairTools, finding: Finding) -> bool:
    """Count a server no more that is deleted in its cell."""
    with tools.api_db.writer() as session:
        mapping = _held_mapping(session, finding.subject)
        if mapping not in finding.evidence or any(cells_having(tools, finding.subject).values()):
            return False
        mappings.queue_for_delete(session, finding.subject)
    return True


def map_instance(tools: RepairTools, finding: Finding) -> bool:
    """Map a server to the cell that has it; remove a row that nobody ever saw."""
    if finding.detail["is_unborn"]:
        return _remove_unborn(tools, finding, str(finding.cell))
    cell = tools.cell(finding.cell)
    with tools.api_db.writer() as session:
        if sightings.mapping(session, finding.subject) is not None or is_worked_on_above(session, finding.subject):
            return False
        if [uuid for uuid, lives in cells_having(tools, finding.subject).items() if lives] != [finding.cell]:
            return False
        with cell.db.reader() as cell_session:
            server = instances.get(cell_session, finding.subject)
        found = FoundInstance(
            0, server.uuid, server.project_id, server.user_id, server.flavor.vcpus, server.flavor.ram_mib
        )
        try:
            unmapped.add_missing(session, str(finding.cell), [found])
        except IntegrityError:
            session.rollback()
            return False
        if server.vm_state is VmState.SOFT_DELETED:
            mappings.queue_for_delete(session, server.uuid)
    return True


def remove_unborn(tools: RepairTools, finding: Finding) -> bool:
    """Remove the rows of a server that scheduling left in cells it is not mapped to."""
    done = [_remove_unborn(tools, finding, cell) for cell in finding.detail["unborn_in"]]
    return all(done)


def _remove_unborn(tools: RepairTools, finding: Finding, cell_uuid: str) -> bool:
    with server_at_rest(tools, tools.cell(cell_uuid), finding.subject) as (session, server):
        if server is None or not server.is_unborn:
            return False
        with tools.api_db.reader() as api:
            mapping = sightings.mapping(api, finding.subject)
        if mapping is not None and mapping.cell in (None, cell_uuid):
            return False
        instances.remove(session, finding.subject)
    return True


def schedule_again(tools: RepairTools, finding: Finding) -> bool:
    """Begin anew to look for a host for a server that was accepted."""
    with tools.api_db.writer() as session:
        mapping = _held_mapping(session, finding.subject)
        instance = build_requests.get(session, finding.subject, for_update=True)
        if mapping not in finding.evidence or instance is None:
            return False
        workflow = Workflow(
            uuid=str(uuids.uuid4()),
            kind="schedule",
            subject=finding.subject,
            project_id=instance.project_id,
            user_id=instance.user_id,
            request_id=f"req-{uuids.uuid4()}",
            inputs={"instance_uuids": [finding.subject]},
            deadline=0.0,
        )
        workflows.add(session, ApiWorkflowRow, workflow, timeout_s=tools.conf.instance_build_timeout)
    tools.wake_above(workflow.uuid)
    return True


def drop_build_request(tools: RepairTools, finding: Finding) -> bool:
    """Drop a build request of a server that is in its cell, or that is nobody's."""
    with tools.api_db.writer() as session:
        mapping = sightings.mapping(session, finding.subject)
        is_changed = is_worked_on_above(session, finding.subject) or (mapping is not None and mapping.cell is None)
        if is_changed or (mapping is not None) is not finding.detail["is_mapped"]:
            return False
        sightings.forget_request(session, finding.subject)
        if mapping is None:
            mappings.remove_instances(session, [finding.subject])
    return True


def drop_spec(tools: RepairTools, finding: Finding) -> bool:
    """Forget what was asked for a server that is gone."""
    with tools.api_db.writer() as session:
        if sightings.mapping(session, finding.subject) is not None:
            return False
        mappings.remove_instances(session, [finding.subject])
    return True


def leave_group(tools: RepairTools, finding: Finding) -> bool:
    """Take a server that is gone out of its group."""
    with tools.api_db.writer() as session:
        if sightings.mapping(session, finding.subject) is not None:
            return False
        sightings.leave_groups(session, finding.subject)
    return True


def settle(tools: RepairTools, finding: Finding) -> bool:
    """Count a server as its cell says, and note the host it is on."""
    cell = tools.cell(finding.cell)
    with server_at_rest(tools, cell, finding.subject) as (_, server):
        if server is None or server.task_state is not None:
            return False
    accounting.settle(tools.api_db, cell.db, finding.subject, "")
    return True


def count_rightly(tools: RepairTools, finding: Finding) -> bool:
    """Count a live server, or count a soft-deleted one no more."""
    with tools.api_db.writer() as session:
        mapping = _held_mapping(session, finding.subject)
        if mapping is None or mapping not in finding.evidence:
            return False
        with tools.cell(finding.cell).db.reader() as cell_session:
            try:
                server = instances.get(cell_session, finding.subject)
            except errors.NotFound:
                return False
            if server.task_state is not None or sightings.is_worked_on(cell_session, finding.subject):
                return False
        is_queued = server.vm_state is VmState.SOFT_DELETED
        if is_queued is not finding.detail["is_queued"]:
            return False
        if is_queued:
            mappings.queue_for_delete(session, finding.subject)
        else:
            mappings.take_back(session, finding.subject)
    return True


def unmap_host(tools: RepairTools, finding: Finding) -> bool:
    """Forget a host that its cell does not know."""
    with tools.api_db.writer() as session:
        if mappings.hosts(session).get(finding.subject) != finding.cell or is_worked_on_above(session, finding.subject):
            return False
        with tools.cell(finding.cell).db.reader() as cell_session:
            if unmapped.has_living(cell_session, finding.subject):
                return False
            if sightings.is_registered(cell_session, finding.subject):
                return False
        mappings.remove_host(session, finding.subject)
    return True
