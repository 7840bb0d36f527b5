"""Whether servers and the block storage service agree on who has which volume: pure.

Attachments of servers that nobody here knows are left alone: another cloud may use the same volumes.
"""

from collections import Counter
from collections.abc import Iterator

from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.sightings import Seen, SeenServer
from nova_lite.model.states import VmState
from nova_lite.model.volume import Attachment

_ATTACHED, _ATTACHING = "attached", "attaching"
#: States of a server whose volumes may be anywhere between reserved and attached.
_UNSETTLED = (VmState.ERROR, VmState.BUILDING)


def devices(seen: Seen) -> Iterator[Finding]:
    """Tell volumes of servers that are on their way with nobody at work, or not theirs by an attachment."""
    owners = Counter(device.attachment_id for uuid in seen.servers for device in _devices(seen, uuid))
    for uuid in list(seen.servers):
        server = seen.at_rest(uuid)
        if server is None or not server.volumes:
            continue
        for device in server.volumes:
            if device.phase is not Phase.ATTACHED:
                text = f"its volume {device.volume_id} is {device.phase}, and no workflow is about it"
                yield _finding(Kind.VOLUME_WITHOUT_WORK, server, device, text)
            elif seen.attachments is not None:
                found = seen.attachments.get(device.attachment_id or "")
                yield from _of_attachment(server, device, found, is_shared=owners[device.attachment_id] > 1)


def _devices(seen: Seen, uuid: str) -> Iterator[BlockDevice]:
    for row in seen.servers[uuid]:
        yield from row.volumes


def _of_attachment(
    server: SeenServer, device: BlockDevice, found: Attachment | None, *, is_shared: bool
) -> Iterator[Finding]:
    its = f"its volume {device.volume_id} ({device.device_name})"
    if found is None:
        text = f"{its} is attached by {device.attachment_id or 'nothing'}, which is not there"
        yield _finding(Kind.ATTACHMENT_MISSING, server, device, text, is_told_only=device.boot_index == 0)
    elif (found.instance_uuid, found.volume_id) != (server.uuid, device.volume_id) or is_shared:
        whose = f"volume {found.volume_id} of server {found.instance_uuid}"
        text = f"{its} is attached by {found.id}, which is of {whose}" + (", and of several" if is_shared else "")
        yield _finding(Kind.ATTACHMENT_WRONG, server, device, text)
    elif server.host is not None and found.status != _ATTACHED and server.vm_state not in _UNSETTLED:
        text = f"{its} is there, and its attachment {found.id} is {found.status}"
        is_told_only = found.status != _ATTACHING
        yield _finding(Kind.ATTACHMENT_UNFINISHED, server, device, text, found.status, is_told_only=is_told_only)


def _finding(
    kind: Kind, server: SeenServer, device: BlockDevice, text: str, *evidence: object, is_told_only: bool = False
) -> Finding:
    return Finding(
        kind,
        server.uuid,
        text,
        server.cell,
        (*of(server), device, *evidence),
        {"device": device},
        is_told_only=is_told_only,
    )


def attachments(seen: Seen) -> Iterator[Finding]:
    """Tell attachments of our servers that no volume of theirs has."""
    for attachment in (seen.attachments or {}).values():
        uuid = attachment.instance_uuid
        if uuid is None or uuid in seen.busy or uuid not in seen.mappings or seen.mappings[uuid].cell is None:
            continue
        detail = {"instance": uuid, "volume": attachment.volume_id}
        evidence: tuple[object, ...] = (attachment.status, uuid, attachment.volume_id)
        if not seen.servers.get(uuid):
            if seen.is_whole and uuid in seen.dead:
                text = f"it keeps volume {attachment.volume_id} for server {uuid}, which is deleted"
                yield Finding(Kind.ATTACHMENT_ORPHANED, attachment.id, text, None, evidence, detail)
            continue
        server = seen.at_rest(uuid)
        # A move that may be reverted keeps what the server had.
        if server is None or seen.moves_of(uuid) or _may_have(server, attachment):
            continue
        text = f"it keeps volume {attachment.volume_id} for server {uuid}, which does not have it so"
        yield Finding(Kind.ATTACHMENT_ORPHANED, attachment.id, text, server.cell, (*evidence, *of(server)), detail)


def _may_have(server: SeenServer, attachment: Attachment) -> bool:
    """Return whether a server knows an attachment, or was about to when its work was lost."""
    return attachment.id in block_device.claims(server.volumes) or any(
        (device.attachment_id is None and device.volume_id == attachment.volume_id)
        for device in block_device.with_next(server.volumes)
    )


def stuck(seen: Seen) -> Iterator[Finding]:
    """Tell volumes that are being detached from servers that keep them."""
    for volume in seen.detaching:
        users = [seen.at_rest(use.instance_uuid or "") for use in volume.attachments]
        known = {use.attachment_id for use in volume.attachments}
        keepers = [
            server
            for server in users
            if server is not None
            and any(device.attachment_id in known and device.phase is Phase.ATTACHED for device in server.volumes)
        ]
        if users and len(keepers) == len(users):
            text = f"it is detaching, and server {keepers[0].uuid} has it and does not let go"
            evidence = tuple(part for server in keepers for part in of(server))
            detail = {"instance": keepers[0].uuid}
            yield Finding(Kind.VOLUME_STUCK, volume.id, text, keepers[0].cell, evidence, detail)


def of(server: SeenServer) -> tuple[object, ...]:
    """Return what of a server must stay as it is for a finding about its volumes to hold."""
    return (server.cell, server.host, server.epoch, server.updated_at)
