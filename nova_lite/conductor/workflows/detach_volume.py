"""Take a volume from a server, inside its cell, beside whatever else is done to it.

The guest lets go first, then the host, then the attachment is removed: the volume is free no sooner than nobody can
write to it. A guest that does not let go keeps its volume, one that did gets it back, and all is as it was.
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.clients.volumes import VolumesAs
from nova_lite.conductor.saga import Definition, Record, Step, Work
from nova_lite.conductor.workflows.attach_volume import finish, found
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.repositories import instances
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.storage import retried

#: Seconds a host gets to give a disk back to a guest.
_PLUG_S = 60.0
_IN_USE, _DETACHING = "in-use", "detaching"


def begin_detaching(work: Work[CellTools]) -> None:
    """Have the volume show that it is being detached, and nobody else begin to.

    One that several servers may have does not: that would keep the others from detaching theirs.
    """
    _where(work, _IN_USE, lambda service, volume_id: service.begin_detaching(volume_id))


def roll_detaching(work: Work[CellTools]) -> None:
    """Have the volume show that it is in use, as it is."""
    _where(work, _DETACHING, lambda service, volume_id: service.roll_detaching(volume_id))


def _where(work: Work[CellTools], status: str, do: Callable[[VolumesAs, str], None]) -> None:
    """Do something to a volume in ``status`` that one server alone can have."""
    _, device = found(work)
    if device is None or device.volume_id is None or device.is_multiattach:
        return
    service = work.tools.volumes.as_service()
    try:
        if service.show(device.volume_id).status == status:
            do(service, device.volume_id)
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


def plug_back(work: Work[CellTools]) -> None:
    """Have the guest have the disk: it may have lost it, or have kept it. A host that is down is left as it is."""
    instance, device = _turned_back(work)
    if device is None or device.attachment_id is None or instance.host is None:
        return
    try:
        work.tools.agents.attach_volume(instance.host, instance.uuid, instance.epoch, device, timeout_s=_PLUG_S)
    except errors.Timeout:
        if not host_is_down(work.tools, instance.host):
            raise
        return
    work.tools.volumes.as_service().complete(device.attachment_id)


@retried
def _turned_back(work: Work[CellTools]) -> tuple[Instance, BlockDevice | None]:
    """Let no late message unplug the volume any more."""
    with work.tools.db.writer() as session:
        volumes.bring_to(session, work.subject, work.inputs["device"], Phase.ATTACHING, work=work.workflow.uuid)
    return found(work)


def remove_attachment(work: Work[CellTools]) -> None:
    """Have the block storage service forget that the server has the volume, also on a host it may come back to."""
    _, device = found(work)
    if device is None:
        return
    service = work.tools.volumes.as_service()
    for attachment_id in block_device.claims((device,)):
        service.detach(attachment_id)


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
        Step("unplug", unplug, undo=plug_back),
        Step("remove attachment", remove_attachment, no_way_back=True),
        Record("forget volume", forget_volume, no_way_back=True),
    ),
    on_failure=Record("keep volume", keep_volume),
    behind=volumes.KINDS,
)
