"""Bring a volume to a server, inside its cell, beside whatever else is done to it.

The API has reserved the volume: its attachment is in the server's row. The agent has the attachment give it the way to
the volume and plugs that in. What fails is undone: the guest loses the disk, the attachment is removed and the server's
row forgets it. A server that is on no host has its volume reserved only; it is connected when the server comes to one.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.conductor.saga import Definition, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.repositories import actions, instances
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.storage import retried

#: Seconds a host gets to take a disk from a guest that was only just given it.
_UNPLUG_S = 60.0


def hold_attachment(work: Work[CellTools]) -> None:
    """See that the volume is reserved: from here on the attachment is this workflow's to remove."""
    _, device = found(work)
    if device is None or device.attachment_id is None:
        raise errors.Conflict("The request ended before the volume was reserved for the server.")


def remove_attachments(work: Work[CellTools]) -> None:
    """Have the volume no more: not by the attachment that is known, nor by one whose making nobody could note."""
    instance, device = found(work)
    if device is None:
        return
    service = work.tools.volumes.as_service()
    if device.attachment_id is not None:
        service.detach(device.attachment_id)
        return
    known = {each.attachment_id for each in instance.volumes}
    for attachment in service.attachments_of(work.subject):
        if attachment.volume_id == device.volume_id and attachment.id not in known:
            service.detach(attachment.id)


def plug_in(work: Work[CellTools]) -> None:
    """Have the host connect the volume and give it to the guest."""
    instance, device = found(work)
    if device is None:
        raise errors.Conflict("The server does not wait for the volume any more.")
    if instance.host is None:
        return
    try:
        work.tools.agents.attach_volume(
            instance.host, instance.uuid, instance.epoch, device, timeout_s=max(1.0, work.seconds_left)
        )
    except errors.Timeout as exc:
        if host_is_down(work.tools, instance.host):
            raise errors.HostFailed("The server's host does not answer.") from exc
        raise


def unplug(work: Work[CellTools]) -> None:
    """Have the guest without the disk and the host without the volume; one that is down loses both."""
    instance, device = _turned_back(work)
    if device is None or instance.host is None:
        return
    try:
        work.tools.agents.detach_volume(instance.host, instance.uuid, instance.epoch, device, timeout_s=_UNPLUG_S)
    except errors.Timeout:
        if not host_is_down(work.tools, instance.host):
            raise


@retried
def _turned_back(work: Work[CellTools]) -> tuple[Instance, BlockDevice | None]:
    """Let no late message plug the volume in any more."""
    with work.tools.db.writer() as session:
        volumes.bring_to(session, work.subject, work.inputs["device"], Phase.DETACHING, work=work.workflow.uuid)
    return found(work)


def complete_attachment(work: Work[CellTools]) -> None:
    """Tell the block storage service that the server has the volume."""
    instance, device = found(work)
    if device is not None and device.attachment_id is not None and instance.host is not None:
        work.tools.volumes.as_service().complete(device.attachment_id)


def mark_attached(work: Work[CellTools], session: Session) -> None:
    """Note that the server has the volume."""
    volumes.bring_to(session, work.subject, work.inputs["device"], Phase.ATTACHED, work=None)
    finish(work, session, error=None)


def forget_volume(work: Work[CellTools], session: Session) -> None:
    """Let the server have the volume no more, and say why."""
    volumes.drop(session, instances.lock(session, work.subject), work.inputs["device"])
    finish(work, session, error=work.reason or "An internal error happened.")


def found(work: Work[CellTools]) -> tuple[Instance, BlockDevice | None]:
    """Return the server and the place of the volume in it."""
    with work.tools.db.reading() as connection:
        instance = instances.get(connection, work.subject)
    return instance, block_device.find(instance.volumes, work.inputs["device"])


def finish(work: Work[CellTools], session: Session, *, error: str | None) -> None:
    """End the server's action."""
    host = instances.hold(session, work.subject).host
    actions.finish(session, instance_uuid=work.subject, request_id=work.workflow.request_id, error=error, host=host)


ATTACH_VOLUME = Definition(
    volumes.ATTACH,
    (
        Step("hold attachment", hold_attachment, undo=remove_attachments),
        Step("plug in", plug_in, undo=unplug),
        Step("complete attachment", complete_attachment, kept=True),
        Record("mark attached", mark_attached, no_way_back=True),
    ),
    on_failure=Record("forget volume", forget_volume),
    behind=volumes.KINDS,
)
