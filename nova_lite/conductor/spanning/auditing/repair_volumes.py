"""Repairs of what servers and the block storage service do not agree on.

A disk that a guest may have is never taken away from below it: it goes by the same workflow as when a user detaches it.
"""

import uuid as uuids

from nova_lite import errors
from nova_lite.cells import volume_repairs, volumes
from nova_lite.cells.operations import Requester
from nova_lite.conductor.spanning.auditing.findings import Finding
from nova_lite.conductor.spanning.auditing.tools import RepairTools, cells_having, server_at_rest
from nova_lite.conductor.spanning.auditing.volumes import of
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.sightings import SeenServer
from nova_lite.model.volume import Attachment
from nova_lite.rpc.conductor import ConductorClient


def begin_again(tools: RepairTools, finding: Finding) -> bool:
    """Go on with bringing or taking a volume."""
    cell, device = tools.cell(finding.cell), _device(finding)
    with server_at_rest(tools, cell, finding.subject) as (session, server):
        if server is None or device not in server.volumes or not _is_as_seen(server, finding):
            return False
        work = volume_repairs.begin_again(
            session, server.uuid, device, _requester(server), timeout_s=tools.conf.operation_timeout
        )
    ConductorClient(cell.bus).wake(work.uuid)
    return True


def detach(tools: RepairTools, finding: Finding) -> bool:
    """Detach a volume whose attachment is gone."""
    cell, device = tools.cell(finding.cell), _device(finding)
    if device.attachment_id is not None and _attachment(tools, device.attachment_id) is not None:
        return False
    with server_at_rest(tools, cell, finding.subject) as (session, server):
        if server is None or device not in server.volumes or not _is_as_seen(server, finding):
            return False
        work = volumes.begin_detach(
            session, server.uuid, str(device.volume_id), _requester(server), timeout_s=tools.conf.operation_timeout
        )
    ConductorClient(cell.bus).wake(work.uuid)
    return True


def remove_orphan(tools: RepairTools, finding: Finding) -> bool:
    """Have a server lose a volume that it does not know of."""
    found = _attachment(tools, finding.subject)
    instance, volume_id = str(finding.detail["instance"]), str(finding.detail["volume"])
    if found is None or finding.evidence[:3] != (found.status, found.instance_uuid, found.volume_id):
        return False
    if finding.cell is None:
        if any(cells_having(tools, instance).values()):
            return False
        tools.block_storage().detach(found.id)
        return True
    cell = tools.cell(finding.cell)
    with server_at_rest(tools, cell, instance) as (session, server):
        if server is None or finding.evidence[3:] != of(server):
            return False
        begun = None
        if server.host is not None and block_device.of_volume(server.volumes, volume_id) is None:
            begun = volume_repairs.begin_losing(
                session, instance, found, _requester(server), timeout_s=tools.conf.operation_timeout
            )
    if begun is None:
        tools.block_storage().detach(found.id)
    else:
        ConductorClient(cell.bus).wake(begun.uuid)
    return True


def complete(tools: RepairTools, finding: Finding) -> bool:
    """Tell the block storage service that a server has a volume."""
    device = _device(finding)
    with server_at_rest(tools, tools.cell(finding.cell), finding.subject) as (_, server):
        if server is None or device not in server.volumes or not _is_as_seen(server, finding):
            return False
    return tools.block_storage().complete(str(device.attachment_id))


def roll_back(tools: RepairTools, finding: Finding) -> bool:
    """Have a volume be in use again."""
    with server_at_rest(tools, tools.cell(finding.cell), str(finding.detail["instance"])) as (_, server):
        if server is None or finding.evidence[: len(of(server))] != of(server):
            return False
    tools.block_storage().roll_detaching(finding.subject)
    return True


def _device(finding: Finding) -> BlockDevice:
    device: BlockDevice = finding.detail["device"]
    return device


def _is_as_seen(server: SeenServer, finding: Finding) -> bool:
    return finding.evidence[: len(of(server))] == of(server)


def _attachment(tools: RepairTools, attachment_id: str) -> Attachment | None:
    try:
        return tools.block_storage().attachment(attachment_id)
    except errors.NotFound:
        return None


def _requester(server: SeenServer) -> Requester:
    return Requester(server.user_id, server.project_id, f"req-{uuids.uuid4()}")
