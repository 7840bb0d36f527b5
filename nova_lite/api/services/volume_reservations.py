"""Reserving a volume for a server in whose records it has a place already: to be attached, or to follow another one."""

from typing import Protocol

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model.block_device import BlockDevice
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried


class Records(Protocol):
    """Where a cell's records tell of the place: ``cells.volumes`` or ``cells.volume_swaps``."""

    def note_reserved(
        self, session: Session, instance_uuid: str, device: BlockDevice, attachment_id: str, requester: Requester, /
    ) -> bool:
        """Note the reservation; False when nobody waits for it any more."""

    def give_up(self, session: Session, instance_uuid: str, device: BlockDevice, /, *, may_be_reserved: bool) -> None:
        """Take the place back, now or once somebody has found out whether the volume is reserved."""


def reserve(
    device: BlockDevice,
    instance_uuid: str,
    cell: OpenCell,
    *,
    user: VolumesAs,
    volumes: Volumes,
    records: Records,
    requester: Requester,
) -> None:
    """Reserve the volume that is to take the place of ``device``, or to follow the one there; a conductor goes on.

    A refusal takes the place back and is raised; Conflict is when the server waits for the volume no more.
    """
    volume_id = str(device.next_volume_id or device.volume_id)
    try:
        attachment = user.reserve(volume_id, instance_uuid)
    except errors.Unavailable:
        # Reserved or not: a conductor finds out.
        _give_up(records, cell, instance_uuid, device, may_be_reserved=True)
        ConductorClient(cell.bus).wake(str(device.work))
        raise
    except errors.NovaLiteError:
        _give_up(records, cell, instance_uuid, device, may_be_reserved=False)
        raise
    if not _note_reserved(records, cell, instance_uuid, device, attachment.id, requester):
        volumes.as_service().detach(attachment.id)
        raise errors.Conflict(f"Instance {instance_uuid} does not wait for volume {volume_id} any more.")
    ConductorClient(cell.bus).wake(str(device.work))


@retried
def _note_reserved(
    records: Records, cell: OpenCell, uuid: str, device: BlockDevice, attachment_id: str, requester: Requester
) -> bool:
    with cell.db.writer() as session:
        return records.note_reserved(session, uuid, device, attachment_id, requester)


@retried
def _give_up(records: Records, cell: OpenCell, uuid: str, device: BlockDevice, *, may_be_reserved: bool) -> None:
    with cell.db.writer() as session:
        records.give_up(session, uuid, device, may_be_reserved=may_be_reserved)
