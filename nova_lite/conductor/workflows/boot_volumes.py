"""The volumes of a server that is being built: waited for, reserved, taken along to the next host, given up.

The API made and reserved with its user's token what needs the user's rights (``api/services/boot_volumes.py``). What it
made becomes available some time later, and can only then be reserved.
"""

from nova_lite import errors
from nova_lite.clients.volumes import VolumesAs
from nova_lite.conductor import volume_claims
from nova_lite.conductor.saga import Work
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.repositories import instances
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.model.states import ACTIONS
from nova_lite.model.volume import Attachment
from nova_lite.storage import retried

_BEING_MADE = ("creating", "downloading")
_RESERVED = "reserved"
#: Seconds before the first looks at a volume that is being made, each longer than the one before.
_FIRST_LOOKS_S = 0.2


def await_volumes(work: Work[CellTools]) -> None:
    """See that every volume is there and reserved for the server; nothing for a server without volumes."""
    if not has_volumes(work):
        return
    instance = read(work)
    service = work.tools.volumes.as_service()
    for device in instance.volumes:
        if device.phase is Phase.RESERVING:
            _refuse_unless_available(work, service, device)
            attachment = _left(service, instance, device) or _reserve(service, instance, device)
            _note(work, service, device, attachment)


def give_up_volumes(work: Work[CellTools]) -> None:
    """Have a server that could not be built hold no volumes, and remove those that go with it."""
    if not has_volumes(work):
        return
    volume_claims.free(work.tools.volumes, read(work))
    _forget(work)


def complete_attachments(work: Work[CellTools], instance: Instance) -> None:
    """Say that the server, whose guest runs, has its volumes."""
    if not instance.volumes:
        return
    service = work.tools.volumes.as_service()
    for device in instance.volumes:
        if device.attachment_id is not None:
            service.complete(device.attachment_id)


def renew_attachments(work: Work[CellTools]) -> None:
    """Have volumes reserved for the server that no host reaches: the one that failed may not, nor may a late message.

    They are never free in between: a second attachment is made, which the service allows for a volume in use only, then
    the first removed.
    """
    if not has_volumes(work):
        return
    instance = read(work)
    service = work.tools.volumes.as_service()
    for device in instance.volumes:
        if device.attachment_id is None:
            continue
        if service.attachment(device.attachment_id).status == _RESERVED:
            spare = _left(service, instance, device)
            if spare is not None:
                service.detach(spare.id)
        elif service.complete(device.attachment_id):
            fresh = _left(service, instance, device) or _reserve(service, instance, device)
            _note(work, service, device, fresh)
            service.detach(device.attachment_id)
        # A service that is too old for that gives the attachment it has to the next host.


def has_volumes(work: Work[CellTools]) -> bool:
    """Return whether the server is made with volumes: those without shall not pay for it."""
    return bool(work.inputs.get("has_volumes"))


def read(work: Work[CellTools]) -> Instance:
    """Return the server as it is now."""
    with work.tools.db.reading() as connection:
        return instances.get(connection, work.subject)


def _refuse_unless_available(work: Work[CellTools], service: VolumesAs, device: BlockDevice) -> None:
    """Raise NotYet for a volume that is being made, GuestFailed when that failed or takes too long."""
    try:
        status = service.show(str(device.volume_id)).status
    except errors.NotFound as exc:
        raise errors.GuestFailed(f"Volume {device.volume_id} of the server is gone.") from exc
    conf, tries = work.tools.conf, work.workflow.attempt
    if status in _BEING_MADE and tries <= conf.block_device_allocate_retries:
        pause_s = min(conf.block_device_allocate_retries_interval, _FIRST_LOOKS_S * tries)
        raise errors.NotYet(f"Volume {device.volume_id} is {status}.", again_s=pause_s)
    if status not in ("available", _RESERVED):
        raise errors.GuestFailed(
            f"Volume {device.volume_id} did not finish being created even after {tries} looks at it: it is {status}."
        )


def _left(service: VolumesAs, instance: Instance, device: BlockDevice) -> Attachment | None:
    """Return an attachment of the server to a device's volume that is not noted: its answer, or who asked, was lost."""
    known = {each.attachment_id for each in instance.volumes}
    found = (each for each in service.attachments_of(instance.uuid) if each.id not in known)
    return next((each for each in found if each.volume_id == device.volume_id), None)


def _reserve(service: VolumesAs, instance: Instance, device: BlockDevice) -> Attachment:
    try:
        return service.reserve(str(device.volume_id), instance.uuid)
    except (errors.NotFound, errors.Invalid, errors.Conflict) as exc:
        raise errors.GuestFailed(f"Volume {device.volume_id} cannot be reserved: {exc.message}") from exc


def _note(work: Work[CellTools], service: VolumesAs, device: BlockDevice, attachment: Attachment) -> None:
    """Note by which attachment a server has a volume; takes it back when the server is not being built any more."""
    try:
        _write(work, device, attachment.id)
    except (errors.NotFound, errors.Conflict):
        service.detach(attachment.id)
        raise


@retried
def _write(work: Work[CellTools], device: BlockDevice, attachment_id: str) -> None:
    with work.tools.db.writer() as session:
        instance = instances.lock(session, work.subject)
        known = block_device.changed(
            instance.volumes, device.uuid, attachment_id=attachment_id, phase=Phase.ATTACHED, work=None
        )
        instances.change(
            session, work.subject, expect_task=ACTIONS["create"].while_busy, **instances.with_volumes(known)
        )


@retried
def _forget(work: Work[CellTools]) -> None:
    with work.tools.db.writer() as session:
        instances.lock(session, work.subject)
        instances.change(session, work.subject, expect_task=ACTIONS["create"].while_busy, **instances.with_volumes(()))
