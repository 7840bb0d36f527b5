"""Making a server's attachment of a volume anew, by an operator's command: for a back end reached otherwise now.

The server is off and locked meanwhile. The volume is never free in between: a new attachment is reserved first, then
the host forgets the volume and the old attachment is removed, then the host connects by the new one. Whatever fails, or
dies, the server keeps the volume in its row, and the command may be run again.
"""

import logging
import uuid as uuids
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import marks, volumes
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import VolumesAs
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, workflows
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.rpc.compute import ComputeClient

LOG = logging.getLogger(__name__)

_ACTION, _EVENT = "refresh_volume_attachment", "refresh_volume_attachment"
#: Who does it, as the server's actions show.
_WHO = "nova-lite-manage"
_REASON = "An attachment of a volume is being made anew."


class Refusal(Enum):
    """Why an attachment is not made anew."""

    NO_SERVER = "no server"
    BAD_STATE = "bad state"
    NO_VOLUME = "no volume"
    OTHER_HOST = "other host"


class Refused(errors.Conflict):
    """An attachment is not made anew, and nothing was changed."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


def refresh(
    cell: OpenCell, agents: ComputeClient, service: VolumesAs, uuid: str, volume_id: str, host: str, *, timeout_s: float
) -> BlockDevice:
    """Make the attachment of a server's volume anew and return the volume as the server has it then.

    ``host`` is where the operator says that the server is. Raises Refused, Unavailable, Timeout, and what the host and
    the block storage service raise.
    """
    requester = Requester(_WHO, _WHO, f"req-{uuids.uuid4()}")
    with cell.db.reader() as session:
        instance, device = _checked(session, instances_of(session, uuid), volume_id, host)
    with _locked(cell, instance, requester), _told(cell, uuid, requester):
        return _Refresh(cell, agents, service, timeout_s).run(uuid, device, host)


def instances_of(session: Session, uuid: str) -> Instance:
    """Return a server; raises Refused."""
    try:
        return instances.get(session, uuid)
    except errors.NotFound as exc:
        raise Refused(Refusal.NO_SERVER, exc.message) from exc


def _checked(session: Session, instance: Instance, volume_id: str, host: str) -> tuple[Instance, BlockDevice]:
    uuid = instance.uuid
    if instance.vm_state is not VmState.STOPPED or instance.task_state is not None:
        busy = f", busy with {instance.task_state}" if instance.task_state else ""
        raise Refused(Refusal.BAD_STATE, f"Server {uuid} is {instance.vm_state}{busy}: it must be stopped.")
    device = block_device.of_volume(instance.volumes, volume_id)
    if device is None:
        raise Refused(Refusal.NO_VOLUME, f"Volume {volume_id} is not attached to server {uuid}.")
    if workflows.subjects_at_work(session, CellWorkflowRow, [uuid]):
        raise Refused(Refusal.BAD_STATE, f"Somebody is at work on server {uuid}, or on a volume of it.")
    if instance.host != host:
        raise Refused(
            Refusal.OTHER_HOST,
            f"The connector is of host {host}, server {uuid} is on {instance.host}. It must be made on the server's "
            "own host, by volume_attachment get_connector.",
        )
    return instance, device


@contextmanager
def _locked(cell: OpenCell, instance: Instance, requester: Requester) -> Iterator[None]:
    """Keep the server locked; one that was is so afterwards, unless by a command that died."""
    if instance.is_locked and instance.locked_reason != _REASON:
        yield
        return
    with cell.db.writer() as session:
        marks.lock(session, instance.uuid, requester, _REASON)
    try:
        yield
    finally:
        with cell.db.writer() as session:
            marks.unlock(session, instance.uuid, requester)


@contextmanager
def _told(cell: OpenCell, uuid: str, requester: Requester) -> Iterator[None]:
    """Record among the server's actions that it was done, and how it ended."""
    error: str | None = "An internal error happened."
    try:
        yield
        error = None
    except errors.NovaLiteError as exc:
        error = exc.message
        raise
    finally:
        with cell.db.writer() as session:
            marks.note(session, uuid, _ACTION, requester, event=_EVENT, error=error)


class _Refresh:
    """One of them."""

    def __init__(self, cell: OpenCell, agents: ComputeClient, service: VolumesAs, timeout_s: float) -> None:
        self._cell = cell
        self._agents = agents
        self._service = service
        self._timeout_s = timeout_s

    def run(self, uuid: str, device: BlockDevice, host: str) -> BlockDevice:
        self._settle(device.attachment_id)
        made = self._service.reserve(str(device.volume_id), uuid)
        try:
            instance, device = self._begin(uuid, device, host)
            self._agents.detach_volume(host, uuid, instance.epoch, device, timeout_s=self._timeout_s)
            new = self._change(uuid, device, phase=Phase.ATTACHING, attachment_id=made.id)
        except BaseException:
            self._undo(uuid, device, made.id)
            raise
        try:
            if device.attachment_id is not None:
                self._service.detach(device.attachment_id)
            self._agents.attach_volume(host, uuid, instance.epoch, new, timeout_s=self._timeout_s)
        finally:
            new = self._change(uuid, new, phase=Phase.ATTACHED, work=None)
            # Also when the host failed: the volume is the server's.
            self._service.complete(made.id)
        return new

    def _settle(self, attachment_id: str | None) -> None:
        """Have a volume be in use whose refresh was stopped half way: else it could not be reserved beside."""
        if attachment_id is None:
            return
        try:
            if self._service.attachment(attachment_id).status == "attaching":
                self._service.complete(attachment_id)
        except errors.NotFound:
            return

    def _begin(self, uuid: str, device: BlockDevice, host: str) -> tuple[Instance, BlockDevice]:
        """Have the volume go, if all is still as it was."""
        with self._cell.db.writer() as session:
            instance, known = _checked(session, instances.lock(session, uuid), str(device.volume_id), host)
            if known != device:
                raise Refused(Refusal.BAD_STATE, f"Volume {device.volume_id} of server {uuid} changed meanwhile.")
            volumes.bring_to(session, uuid, device.uuid, Phase.DETACHING, work=None)
        return instance, device

    def _change(self, uuid: str, device: BlockDevice, **values: object) -> BlockDevice:
        with self._cell.db.writer() as session:
            instance = instances.lock(session, uuid)
            changed = block_device.changed(instance.volumes, device.uuid, **values)
            instances.change(session, uuid, **instances.with_volumes(changed))
        found = block_device.find(changed, device.uuid)
        if found is None:
            raise errors.Conflict(f"Server {uuid} lost volume {device.volume_id} meanwhile.")
        return found

    def _undo(self, uuid: str, device: BlockDevice, attachment_id: str) -> None:
        """Have the server keep the volume by the attachment that it had."""
        try:
            self._change(uuid, device, phase=Phase.ATTACHED, work=None)
            self._service.detach(attachment_id)
        except errors.NovaLiteError as exc:
            LOG.warning("Attachment %s is left behind, the audit removes it: %s", attachment_id, exc)
