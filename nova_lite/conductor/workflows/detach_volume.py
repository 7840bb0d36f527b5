"""Take a volume from a server, inside its cell, beside whatever else is done to it.

The guest lets go first, then the host, then the attachment is removed: the volume is free no sooner than nobody can
write to it. A guest that does not let go keeps its volume, one that did gets it back, and all is as it was.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.clients.volumes import VolumesAs
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.attach_volume import (
    UNDO_S,
    finish,
    forget_volume,
    found,
    reached,
    those_that_wait,
    turned,
)
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase

_IN_USE, _DETACHING = "in-use", "detaching"


def unplug(work: Work[CellTools]) -> None:
    """Have the volume show that it goes, then the guest let go of the disk, and the host of the volume."""
    server, device = found(work)
    if device is None:
        return
    _begin_detaching(work, device)
    if not reached(work, server, device, work.tools.agents.detach_volume, timeout_s=max(1.0, work.seconds_left)):
        raise errors.HostFailed("The server's host does not answer.")


def plug_back(work: Work[CellTools]) -> None:
    """Have the guest have the disk: it may have lost it, or have kept it. A host that is down is left as it is."""
    server, device = turned(work, Phase.ATTACHING)
    if device is None or device.volume_id is None:
        return
    service = work.tools.volumes.as_service()
    if _status(service, device) == _IN_USE:
        # The host was asked nothing yet, or this was done before.
        return
    if device.attachment_id is not None and server.host is not None:
        attach = work.tools.agents.attach_volume
        if reached(work, server, device, attach, timeout_s=UNDO_S):
            service.complete(device.attachment_id)
    if _status(service, device) == _DETACHING:
        service.roll_detaching(device.volume_id)


def _status(service: VolumesAs, device: BlockDevice) -> str | None:
    """Return what the volume shows; None for one that shows what others do with it, or is gone."""
    if device.volume_id is None or device.is_multiattach:
        return None
    try:
        return service.show(device.volume_id).status
    except errors.NotFound:
        return None


def _begin_detaching(work: Work[CellTools], device: BlockDevice) -> None:
    """Have a volume in use show that it is being detached, where the request could not, or died.

    One that several servers may have does not: that would keep the others from detaching theirs.
    """
    if device.volume_id is None or device.is_multiattach or work.facts.get(volumes.SHOWN):
        return
    service = work.tools.volumes.as_service()
    try:
        service.begin_detaching(device.volume_id)
    except errors.NotFound:
        return
    except errors.Invalid:
        # It shows so already, for one; what is in use and cannot be detached all the same is told.
        if _status(service, device) == _IN_USE:
            raise


def remove_attachment(work: Work[CellTools]) -> None:
    """Have the block storage service forget that the server has the volume, also on a host it may come back to."""
    _, device = found(work)
    if device is None:
        return
    service = work.tools.volumes.as_service()
    for attachment_id in block_device.claims((device,)):
        service.detach(attachment_id)


def keep_volume(work: Work[CellTools], session: Session) -> Facts | None:
    """Let the server have the volume as before, and say why."""
    server = volumes.bring_to(session, work.subject, work.inputs["device"], Phase.ATTACHED, work=None)
    return finish(work, session, error=work.reason or "An internal error happened.", server=server)


DETACH_VOLUME = Definition(
    volumes.DETACH,
    (
        Step("unplug", unplug, undo=plug_back),
        Step("remove attachment", remove_attachment, no_way_back=True, kept=True),
        Record("forget volume", forget_volume, no_way_back=True),
    ),
    on_failure=Record("keep volume", keep_volume),
    behind=volumes.KINDS,
    afterwards=those_that_wait,
)
