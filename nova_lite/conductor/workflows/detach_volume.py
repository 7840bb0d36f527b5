"""Take a volume from a server, inside its cell, beside whatever else is done to it.

The guest lets go first, then the host, then the attachment is removed: the volume is free no sooner than nobody can
write to it. A guest that does not let go keeps its volume, and all is as it was.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.conductor.saga import Definition, Record, Step, Work
from nova_lite.conductor.workflows.attach_volume import finish, found
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.repositories import instances
from nova_lite.model.block_device import Phase

_IN_USE, _DETACHING = "in-use", "detaching"


def begin_detaching(work: Work[CellTools]) -> None:
    """Have the volume show that it is being detached, and nobody else begin to.

    One that several servers may have does not: that would keep the others from detaching theirs.
    """
    _, device = found(work)
    if device is None or device.volume_id is None or device.is_multiattach:
        return
    service = work.tools.volumes.as_service()
    try:
        if service.show(device.volume_id).status == _IN_USE:
            service.begin_detaching(device.volume_id)
    except errors.NotFound:
        return


def roll_detaching(work: Work[CellTools]) -> None:
    """Have the volume show that it is in use, as it is."""
    _, device = found(work)
    if device is None or device.volume_id is None or device.is_multiattach:
        return
    service = work.tools.volumes.as_service()
    try:
        if service.show(device.volume_id).status == _DETACHING:
            service.roll_detaching(device.volume_id)
    except errors.NotFound:
        return


def unplug(work: Work[CellTools]) -> None:
    """Have the guest let go of the disk, and the host of the volume."""
    instance, device = found(work)
    if device is None or instance.host is None:
        return
    try:
        work.tools.agents.detach_volume(
            instance.host, instance.uuid, instance.epoch, device, timeout_s=max(1.0, work.seconds_left)
        )
    except errors.Timeout as exc:
        if host_is_down(work.tools, instance.host):
            raise errors.HostFailed("The server's host does not answer.") from exc
        raise


def remove_attachment(work: Work[CellTools]) -> None:
    """Have the block storage service forget that the server has the volume."""
    _, device = found(work)
    if device is not None and device.attachment_id is not None:
        work.tools.volumes.as_service().detach(device.attachment_id)


def forget_volume(work: Work[CellTools], session: Session) -> None:
    """Let the server have the volume no more."""
    volumes.drop(session, instances.lock(session, work.subject), work.inputs["device"])
    finish(work, session, error=None)


def keep_volume(work: Work[CellTools], session: Session) -> None:
    """Let the server have the volume as before, and say why."""
    volumes.bring_to(session, work.subject, work.inputs["device"], Phase.ATTACHED, work=None)
    finish(work, session, error=work.reason or "An internal error happened.")


DETACH_VOLUME = Definition(
    volumes.DETACH,
    (
        Step("begin detaching", begin_detaching, undo=roll_detaching),
        Step("unplug", unplug),
        Step("remove attachment", remove_attachment, no_way_back=True),
        Record("forget volume", forget_volume, no_way_back=True),
    ),
    on_failure=Record("keep volume", keep_volume),
    behind=volumes.KINDS,
)
