"""What becomes of a server's volumes while it goes from host to host: a volume is never free in between.

Each host has an attachment of its own. The one for the new host is made first, with that host's connector, and the old
one is removed when nobody can come back to it. What is made before the server's row can tell of it is known to the
workflow alone; should that die or be undone, every attachment that the row does not know is taken for such a one.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from nova_lite import errors
from nova_lite.clients.volumes import Volumes
from nova_lite.conductor.saga import Work
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.repositories import instances
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState

LOG = logging.getLogger(__name__)

#: What an attachment is that a host was given, until it is completed.
_CONNECTED = "attaching"
#: What makes another attachment of a device, and returns its id.
_Maker = Callable[[BlockDevice], str]


def has_any(work: Work[CellTools]) -> bool:
    """Return whether the server had volumes, or was getting some, when its move was begun: later none come."""
    return bool(work.inputs.get("has_volumes"))


def attach_at(
    work: Work[CellTools], host: str, devices: Collection[BlockDevice] | None = None, *, is_settled: bool = False
) -> dict[str, str]:
    """Make another attachment, for ``host``, of each of a server's volumes, or of some; return device → attachment.

    Where it ``is_settled`` that no other host comes into question, what an earlier attempt made is taken.
    Raises HostFailed when the host does not answer, GuestFailed when the block storage service refuses.
    """
    try:
        connector = work.tools.agents.connector(host)
    except errors.Timeout as exc:
        if host_is_down(work.tools, host):
            raise errors.HostFailed("The host the server was to move to does not answer.") from exc
        raise
    service = work.tools.volumes.as_service()

    def attach(device: BlockDevice) -> str:
        there = {**connector, "mountpoint": device.device_name}
        return service.attach(device.volume_id or "", work.subject, there).id

    return _made(work, devices, attach, takes_made=is_settled)


def reserve(work: Work[CellTools], devices: Collection[BlockDevice] | None = None) -> dict[str, str]:
    """Make another attachment, for no host, of each of a server's volumes, or of some; return device → attachment."""
    service = work.tools.volumes.as_service()
    return _made(work, devices, lambda device: service.reserve(device.volume_id or "", work.subject).id)


def left_behind(work: Work[CellTools]) -> tuple[BlockDevice, ...]:
    """Return the volumes that a server has left on its old host, as that knows them."""
    return block_device.as_left(_server(work.tools, work.subject).volumes) if has_any(work) else ()


def unnoted(work: Work[CellTools]) -> list[BlockDevice]:
    """Return a server's volumes by the attachments that its row does not know, as the host knows them."""
    if not has_any(work):
        return []
    instance = _server(work.tools, work.subject)
    known, named = block_device.claims(instance.volumes), {device.volume_id: device for device in instance.volumes}
    return [
        replace(named[each.volume_id], attachment_id=each.id, old_attachment_id=None)
        for each in work.tools.volumes.as_service().attachments_of(work.subject)
        if each.id not in known and each.volume_id in named
    ]


def attached(devices: Iterable[BlockDevice]) -> list[BlockDevice]:
    """Return the devices that a server has."""
    return [device for device in devices if device.phase is Phase.ATTACHED]


def complete(volumes: Volumes, attachments: Collection[str]) -> None:
    """Say that the server has its volumes by these attachments; one that somebody took away is passed over."""
    if not attachments:
        return
    service = volumes.as_service()
    for attachment_id in attachments:
        try:
            service.complete(attachment_id)
        except (errors.NotFound, errors.Invalid, errors.Conflict) as exc:
            LOG.warning("Attachment %s is not completed: %s", attachment_id, exc)


def remove_others(tools: CellTools, uuid: str, *, keep: Iterable[str] = ()) -> None:
    """Remove the attachments of a server's volumes that its row does not know, but for those to ``keep``."""
    instance = _server(tools, uuid)
    _remove(tools.volumes, instance, {*block_device.claims(instance.volumes), *keep})


def remove_old(tools: CellTools, uuid: str, attachments: Mapping[str, str] | None = None) -> None:
    """Remove the attachments by which a server's old host had its volumes; the new ones are in its row.

    Those in ``attachments`` (device → attachment) take the place of the row's.
    """
    instance = _server(tools, uuid)
    keep = {(attachments or {}).get(device.uuid, device.attachment_id) for device in instance.volumes}
    _remove(tools.volumes, instance, {each for each in keep if each is not None})


def _made(
    work: Work[CellTools], devices: Collection[BlockDevice] | None, make: _Maker, *, takes_made: bool = False
) -> dict[str, str]:
    instance = _server(work.tools, work.subject)
    there = {}
    if work.may_have_run:
        # What was made then and is not taken may be for another host, or for none: its making was broken off.
        there = _connected(work.tools, instance) if takes_made else {}
        remove_others(work.tools, work.subject, keep=there.values())
    made = {}
    try:
        for device in attached(instance.volumes) if devices is None else devices:
            made[device.uuid] = there.get(device.volume_id) or make(device)
    except (errors.NotFound, errors.Invalid, errors.Conflict, errors.Forbidden) as exc:
        raise errors.GuestFailed(f"A volume of the server cannot be attached once more: {exc.message}") from exc
    finally:
        _leave_nothing_to_deleted(work)
    return made


def _connected(tools: CellTools, instance: Instance) -> dict[str | None, str]:
    """Return the attachments with a connection that a server's row does not know, by their volumes."""
    known = block_device.claims(instance.volumes)
    found = tools.volumes.as_service().attachments_of(instance.uuid)
    return {each.volume_id: each.id for each in found if each.id not in known and each.status == _CONNECTED}


def _leave_nothing_to_deleted(work: Work[CellTools]) -> None:
    """Take back what was made if the server is being deleted: who deletes it may have looked before it was."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject, with_deleted=True)
    if instance.is_deleted or instance.task_state is TaskState.DELETING:
        _remove(work.tools.volumes, instance, block_device.claims(instance.volumes))


def _remove(volumes: Volumes, instance: Instance, keep: Collection[str]) -> None:
    service = volumes.as_service()
    ours = {device.volume_id for device in instance.volumes}
    for attachment in service.attachments_of(instance.uuid):
        if attachment.id not in keep and attachment.volume_id in ours:
            try:
                service.detach(attachment.id)
            except (errors.Invalid, errors.Conflict, errors.Forbidden) as exc:
                LOG.warning("Attachment %s of server %s stays: %s", attachment.id, instance.uuid, exc)


def _server(tools: CellTools, uuid: str) -> Instance:
    with tools.db.reader() as session:
        return instances.get(session, uuid, with_deleted=True)
