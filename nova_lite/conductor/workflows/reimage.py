"""Make a server anew whose root disk is a volume, and have that filled with an image, inside its cell.

The block storage service fills a volume that no host reaches. So the server gets another attachment, which is for no
host, before the one of its host goes: the volume is reserved all the while. The guest goes first, with all its disks
that are no volumes; then the volume is filled, which that service says by an event and, should that be lost, by the
volume's own state; then the guest is made. Until then nobody may start one. See ``docs/decisions/0020-reimage.rst``.
"""

import contextlib

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.cells.rebuilds import REIMAGE as KIND
from nova_lite.clients.volumes import VolumesAs
from nova_lite.conductor import move_volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows import rebuild
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.repositories import instances
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState
from nova_lite.storage import retried

#: What an attachment is that no host has, and a volume that none has another of.
_RESERVED = "reserved"
#: What an attachment is that a host was given, until it is completed.
_CONNECTED = "attaching"
#: What a volume is while it is filled.
_FILLING = "downloading"


def reserve_volume(work: Work[CellTools]) -> Facts:
    """Have the volume by another attachment, for no host, unless the one it has is for none."""
    rebuild.refuse_to_preserve(work)
    _, root = _found(work)
    service = work.tools.volumes.as_service()
    if _status(service, root.attachment_id) == _RESERVED:
        return {"reserved": {}}
    return {"reserved": move_volumes.reserve(work, (root,))}


def give_up_reservation(work: Work[CellTools]) -> None:
    """Remove the attachment that the server did not come to have."""
    move_volumes.remove_others(work.tools, work.subject)


def change_server(work: Work[CellTools], session: Session) -> Facts:
    """Make the server what it is to be, with both attachments of the volume; nothing may start a guest yet."""
    devices = instances.lock(session, work.subject).volumes
    moved = block_device.moved(devices, work.facts["reserved"])
    rebuild.become(work, session, **instances.with_volumes(moved))
    return {"is_changed": True}


def keep_volume(work: Work[CellTools]) -> None:
    """Let the server have its volume by one attachment: its host's, as long as that has not been removed."""
    _, root = _found(work)
    if root.old_attachment_id is not None:
        status = _status(work.tools.volumes.as_service(), root.old_attachment_id)
        _settle(work, is_back=status is not None)


@retried
def _settle(work: Work[CellTools], *, is_back: bool) -> None:
    with work.tools.db.writer() as session:
        devices = instances.lock(session, work.subject).volumes
        devices = block_device.moved_back(devices, {}) if is_back else block_device.settled(devices)
        instances.change(session, work.subject, **instances.with_volumes(devices))


def remove_guest(work: Work[CellTools]) -> None:
    """Have the host shut the guest down and forget it, its disks and its volumes; then it has no attachment more."""
    instance, root = _found(work)
    host, timeout_s = str(instance.host), max(1.0, work.seconds_left)
    devices = block_device.moved_back(instance.volumes, {})
    agents = work.tools.agents
    try:
        with contextlib.suppress(errors.NotFound):  # what it has of no whole guest goes below, too
            agents.power_off(host, instance.uuid, instance.epoch, timeout_s=timeout_s)
        agents.discard(host, instance.uuid, instance.epoch - 1, devices, timeout_s=timeout_s)
    except errors.Timeout as exc:
        if host_is_down(work.tools, host):
            raise errors.HostFailed("The server's host does not answer.") from exc
        raise
    if root.old_attachment_id is not None:
        work.tools.volumes.as_service().detach(root.old_attachment_id)


def ask_for_image(work: Work[CellTools]) -> Facts:
    """Have the block storage service begin to fill the volume, unless it has."""
    _, root = _found(work)
    service = work.tools.volumes.as_service()
    if service.show(str(root.volume_id)).status != _FILLING:
        service.reimage(str(root.volume_id), rebuild.wanted(work).image_id, is_reserved=True)
    return {"asked_with_s": work.seconds_left}


def await_image(work: Work[CellTools]) -> None:
    """See that the volume is filled; raises NotYet until then, GuestFailed when that fails or takes too long."""
    _, root = _found(work)
    status = work.tools.volumes.as_service().show(str(root.volume_id)).status
    if status == _RESERVED:
        return
    what = f"Volume {root.volume_id} could not be filled with image {rebuild.wanted(work).image_id}"
    if status != _FILLING:
        raise errors.GuestFailed(f"{what}: it is {status}.")
    allowed_s = work.tools.conf.reimage_timeout_per_gb * rebuild.wanted(work).image_gib
    if work.facts["asked_with_s"] - work.seconds_left > allowed_s:
        raise errors.GuestFailed(f"{what}: that took more than {allowed_s} s.")
    raise errors.NotYet(f"Volume {root.volume_id} is being filled.")


def begin_remaking(work: Work[CellTools], session: Session) -> None:
    """Let the guest be started again."""
    devices = block_device.settled(instances.lock(session, work.subject).volumes)
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.REBUILDING,
        task_state=TaskState.REBUILD_SPAWNING,
        **instances.with_volumes(devices),
    )
    rebuild.tell_host_begins(work, session)


def remake_guest(work: Work[CellTools]) -> Facts:
    """Have the guest made anew, by which its host gets the volume."""
    facts = rebuild.remake_guest(work)
    complete(work)
    return facts


def complete(work: Work[CellTools]) -> None:
    """Say that the server has the volume, if its host was given it: also when the guest could not be made."""
    _, root = _found(work)
    service = work.tools.volumes.as_service()
    if root.attachment_id is not None and _status(service, root.attachment_id) == _CONNECTED:
        service.complete(root.attachment_id)


def _found(work: Work[CellTools]) -> tuple[Instance, BlockDevice]:
    """Return the server and the volume it boots from; raises Conflict when it is on no host or has none."""
    with work.tools.db.reading() as connection:
        instance = instances.get(connection, work.subject)
    root = block_device.root_of(instance.volumes)
    if instance.host is None or root is None:
        raise errors.Conflict(f"Instance {work.subject} is on no host, or does not boot from a volume.")
    return instance, root


def _status(service: VolumesAs, attachment_id: str | None) -> str | None:
    """Return what an attachment is, None when it is not there."""
    if attachment_id is None:
        return None
    try:
        return service.attachment(attachment_id).status
    except errors.NotFound:
        return None


REIMAGE = Definition(
    KIND,
    (
        Step("reserve volume", reserve_volume, undo=give_up_reservation),
        Record("change server", change_server, undo=keep_volume),
        Step("remove guest", remove_guest),
        Step("ask for image", ask_for_image),
        Step("await image", await_image),
        Record("begin remaking", begin_remaking),
        Step("remake guest", remake_guest, undo=complete),
        Record("mark rebuilt", rebuild.mark_rebuilt, no_way_back=True),
    ),
    on_failure=Record("end", rebuild.end_unmade),
    behind=volumes.KINDS,
)
