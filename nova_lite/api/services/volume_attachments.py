"""A server's volumes: bringing them, taking them away, and what is to become of them when it goes."""

import logging
import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import volume_attachments as rules
from nova_lite.api.services import volume_reservations
from nova_lite.api.services.server_lookup import Located, ServerLookup, refuse_if_locked, target
from nova_lite.api.services.volumes import as_user
from nova_lite.cells import operations, volumes
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.concurrency import comes_true
from nova_lite.db.repositories import hosts, instances
from nova_lite.model import block_device
from nova_lite.model.block_device import DEVICE_PREFIX, BlockDevice, Phase
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.model.volume import Volume
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

_ON_SHELF = (VmState.SHELVED, VmState.SHELVED_OFFLOADED)
_AVAILABLE, _IN_USE, _RESERVED = "available", "in-use", "reserved"
#: Seconds that a request waits for the end of work that has all but ended.
_ENDING_S = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """A volume of a server."""

    server_id: str
    device: BlockDevice

    @property
    def has_attachment(self) -> bool:
        """Return whether the block storage service is known to have given the volume to the server."""
        return self.device.attachment_id is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A volume that is to be attached; ``may_be_shared`` and ``may_be_shelved`` say what the caller has heard of."""

    volume_id: str
    device_name: str | None = None
    tag: str | None = None
    delete_on_termination: bool = False
    may_be_shared: bool = True
    may_be_shelved: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update says: facts that must be as they are, and whether the volume goes with its server."""

    unchangeable: Mapping[str, object]
    delete_on_termination: bool | None


class VolumeAttachmentService:
    """Begins to attach and to detach volumes; a conductor of the server's cell carries it out."""

    def __init__(self, conf: cfg.ConfigOpts, lookup: ServerLookup, volumes: Volumes) -> None:
        self._conf = conf
        self._lookup = lookup
        self._volumes = volumes

    def of_server(self, caller: Caller, uuid: str) -> list[Held]:
        """Return a server's volumes, those that come and go too."""
        instance = self._lookup.find(caller, uuid).instance
        caller.require(rules.INDEX, **target(instance))
        return [Held(uuid, device) for device in instance.volumes if device.volume_id is not None]

    def show(self, caller: Caller, uuid: str, volume_id: str, *, with_reserving: bool) -> Held:
        """Return one volume of a server; raises NotFound, also for one being reserved, unless ``with_reserving``."""
        instance = self._lookup.find(caller, uuid).instance
        caller.require(rules.SHOW, **target(instance))
        held = Held(uuid, _device(instance, volume_id))
        if not held.has_attachment and not with_reserving:
            raise _not_attached(instance, volume_id)
        return held

    def attach(self, caller: Caller, uuid: str, wanted: Wanted) -> Held:
        """Begin to attach a volume, which is reserved for the server when this returns.

        Raises NotFound for a volume the caller does not see, Invalid for one that cannot be attached, Conflict when
        the server's state forbids it or its device name is taken, Forbidden when it has as many disks as it can have,
        Unavailable when the block storage service does not answer.
        """
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.CREATE, **target(instance))
        _refuse_on_shelf(instance, volumes.ATTACH, may_be_shelved=wanted.may_be_shelved)
        refuse_if_locked(caller, instance)
        operations.refuse_if_wrong_state(instance, volumes.ATTACH)
        cell = _cell(located)
        service = self.as_user(caller)
        volume = service.show(wanted.volume_id)
        self._refuse(instance, volume, wanted)
        device = _begin_attach(cell, uuid, _new(instance, volume, wanted), caller, self._conf.operation_timeout)
        volume_reservations.reserve(
            device,
            uuid,
            cell,
            user=service,
            volumes=self._volumes,
            records=volumes,
            requester=_requester(caller),
        )
        return Held(uuid, device)

    def update(self, caller: Caller, uuid: str, volume_id: str, changes: Changes) -> None:
        """Note whether a volume goes with its server; raises Invalid when anything else is to change."""
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.UPDATE, **target(instance))
        self.change(located, volume_id, changes)

    def change(self, located: Located, volume_id: str, changes: Changes) -> None:
        """Note what is to become of a volume of a server that was found; raises as ``update``."""
        instance, uuid = located.instance, located.instance.uuid
        device = _device(instance, volume_id)
        as_it_is = {"id": volume_id, "serverId": uuid, "device": device.device_name, "tag": device.tag}
        for name, value in changes.unchangeable.items():
            if value != as_it_is[name]:
                raise errors.Invalid(f"The {name} property is not mutable")
        if changes.delete_on_termination is not None:
            _note_deletion(_cell(located), uuid, volume_id, delete=changes.delete_on_termination)

    def detach(self, caller: Caller, uuid: str, volume_id: str, *, may_be_shelved: bool) -> None:
        """Begin to detach a volume.

        The volume shows that when this returns, unless others share it. Raises NotFound when the server does not have
        it, Invalid for its root disk and when the volume's own state forbids it, Conflict when the server's does, its
        host is down or the volume comes or goes already, Forbidden, Unavailable.
        """
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.DELETE, **target(instance))
        _refuse_on_shelf(instance, volumes.DETACH, may_be_shelved=may_be_shelved)
        device = _device(instance, volume_id)
        if device.boot_index == 0:
            raise errors.Invalid("Cannot detach a root device volume")
        refuse_if_locked(caller, instance)
        operations.refuse_if_wrong_state(instance, volumes.DETACH)
        cell = _cell(located)
        if device.is_multiattach and device.phase is Phase.DETACHING:
            # A shared volume shows nothing of one server that lets it go, so that clients ask once more.
            return
        self._refuse_if_down(cell, instance)
        volume = self._refuse_detach(caller, instance, device, volume_id)
        # A shared one would show of all its servers that it is being detached.
        shows = volume is not None and volume.status == _IN_USE and not device.is_multiattach
        if volume is not None and device.phase is Phase.ATTACHING and _is_in_use_by(volume, uuid):
            self._let_be_attached(cell, uuid, device)
        begun = _begin_detach(cell, uuid, volume_id, caller, self._conf.operation_timeout, is_held_back=shows)
        if shows:
            self._show_detaching(caller, cell, volume_id, begun)
        ConductorClient(cell.bus).wake(begun.uuid)

    def as_user(self, caller: Caller) -> VolumesAs:
        """Return the volumes that a caller sees; raises Unsupported where there is no block storage service."""
        return as_user(self._volumes, caller)

    def _refuse(self, instance: Instance, volume: Volume, wanted: Wanted) -> None:
        """Raise Invalid when the volume cannot be attached to this server, whatever else happens."""
        if volume.id in {device.volume_id for device in instance.volumes}:
            raise errors.Invalid(f"Invalid volume: volume {volume.id} already attached")
        holders = {use.instance_uuid for use in volume.attachments if use.instance_uuid}
        if holders and not volume.is_multiattach:
            raise errors.Invalid(
                f"Invalid volume: volume {volume.id} is already attached to instances: {' '.join(sorted(holders))}"
            )
        is_offloaded = instance.vm_state is VmState.SHELVED_OFFLOADED
        if is_offloaded and wanted.tag:
            raise errors.Invalid("Tagged volume attachment is not supported for shelved-offloaded instances.")
        if is_offloaded and volume.is_multiattach:
            raise errors.Invalid("Attaching multiattach volumes is not supported for shelved-offloaded instances.")
        if volume.is_multiattach and not wanted.may_be_shared:
            raise errors.Invalid("Multiattach volumes are only supported starting with compute API version 2.60.")
        if volume.status != _AVAILABLE and not (volume.is_multiattach and volume.status == _IN_USE):
            raise errors.Invalid(
                f"Invalid volume: volume '{volume.id}' status must be 'available'. Currently in '{volume.status}'"
            )
        is_elsewhere = instance.availability_zone != volume.availability_zone
        if is_elsewhere and instance.host is not None and not self._conf.cinder.cross_az_attach:
            raise errors.Invalid(
                f"Invalid volume: Instance {instance.uuid} and volume {volume.id} are not in the same "
                f"availability_zone. Instance is in {instance.availability_zone}. "
                f"Volume is in {volume.availability_zone}"
            )

    def _refuse_if_down(self, cell: OpenCell, instance: Instance) -> None:
        """Raise Conflict when nobody can take a volume from the server's guest, for its host is down."""
        if instance.host is None:
            return
        with cell.db.reading() as connection:
            agent = hosts.agent(connection, instance.host, down_after_s=self._conf.service_down_time)
        if agent is not None and not agent.is_up:
            raise errors.Conflict("Service is unavailable at this time.")

    def _show_detaching(self, caller: Caller, cell: OpenCell, volume_id: str, begun: Workflow) -> None:
        """Have the volume show that it goes; a refusal ends the work and is raised."""
        is_shown = False
        try:
            self.as_user(caller).begin_detaching(volume_id)
            is_shown = True
        except (errors.NotFound, errors.Unavailable) as exc:
            # It is gone meanwhile, or whether it shows so is for a conductor to find out.
            LOG.info("Volume %s may not show that it goes: %s", volume_id, exc)
        except errors.NovaLiteError:
            _keep(cell, begun)
            raise
        _note_detaching(cell, begun, is_shown=is_shown)

    def _let_be_attached(self, cell: OpenCell, uuid: str, device: BlockDevice) -> None:
        """Let the work that brought a volume end: others see the volume in use a moment before that has ended."""
        comes_true(lambda: not self._is_attaching(cell, uuid, device), _ENDING_S)

    def _is_attaching(self, cell: OpenCell, uuid: str, device: BlockDevice) -> bool:
        with cell.db.reading() as connection:
            found = block_device.find(instances.placed(connection, uuid).volumes, device.uuid)
        return found is not None and found.phase is Phase.ATTACHING

    def _refuse_detach(self, caller: Caller, instance: Instance, device: BlockDevice, volume_id: str) -> Volume | None:
        """Return the volume, None for one that is gone, which is no longer held; raises Invalid where it must stay."""
        try:
            volume = self.as_user(caller).show(volume_id)
        except errors.NotFound:
            if self._is_there(volume_id):
                raise
            return None
        # On no host a volume is reserved only; a shared one shows what others do with it.
        if volume.status == _IN_USE or (volume.status == _RESERVED and instance.host is None) or device.is_multiattach:
            return volume
        raise errors.Invalid(
            f"Invalid volume: volume '{volume_id}' status must be 'in-use'. Currently in '{volume.status}' status"
        )

    def _is_there(self, volume_id: str) -> bool:
        try:
            self._volumes.as_service().show(volume_id)
        except errors.NotFound:
            return False
        return True


def _is_in_use_by(volume: Volume, server_id: str) -> bool:
    return volume.status == _IN_USE and server_id in {use.instance_uuid for use in volume.attachments}


def _device(instance: Instance, volume_id: str) -> BlockDevice:
    found = block_device.of_volume(instance.volumes, volume_id)
    if found is None:
        raise _not_attached(instance, volume_id)
    return found


def _not_attached(instance: Instance, volume_id: str) -> errors.NotFound:
    return errors.NotFound(f"Instance {instance.uuid} is not attached to volume {volume_id[:64]}")


def _refuse_on_shelf(instance: Instance, action: str, *, may_be_shelved: bool) -> None:
    if instance.vm_state in _ON_SHELF and not may_be_shelved:
        raise errors.Conflict(
            f"Cannot '{operations.shown(action)}' instance {instance.uuid} while it is in vm_state {instance.vm_state}"
        )


def _cell(located: Located) -> OpenCell:
    """Return the server's cell; raises Conflict while it waits for one."""
    if located.cell is None:
        raise errors.Conflict(f"Instance {located.instance.uuid} is not ready: it has no cell yet.")
    return located.cell


def _new(instance: Instance, volume: Volume, wanted: Wanted) -> BlockDevice:
    """Return a volume's place among a server's, as it is wanted: pure but for its new name.

    A device name that no disk on the server's bus can have is a hint that is not followed.
    """
    bus = str(instance.image_properties.get("hw_disk_bus") or "virtio")
    bus = bus if bus in DEVICE_PREFIX else "virtio"
    name = wanted.device_name or ""
    prefix = f"/dev/{DEVICE_PREFIX[bus]}"
    is_name = name.startswith(prefix) and len(name) == len(prefix) + 1
    return BlockDevice(
        uuid=str(uuids.uuid4()),
        volume_id=volume.id,
        device_name=name if is_name else "",
        delete_on_termination=wanted.delete_on_termination,
        is_multiattach=volume.is_multiattach,
        tag=wanted.tag,
        disk_bus=bus,
        size_gib=volume.size_gib,
        volume_type=volume.volume_type,
    )


def _requester(caller: Caller) -> Requester:
    return Requester(caller.user_id, caller.project_id, caller.request_id)


@retried
def _begin_attach(cell: OpenCell, uuid: str, device: BlockDevice, caller: Caller, timeout_s: float) -> BlockDevice:
    with cell.db.writer() as session:
        return volumes.begin_attach(session, uuid, device, _requester(caller), timeout_s=timeout_s)


@retried
def _begin_detach(
    cell: OpenCell, uuid: str, volume_id: str, caller: Caller, timeout_s: float, *, is_held_back: bool
) -> Workflow:
    with cell.db.writer() as session:
        return volumes.begin_detach(
            session, uuid, volume_id, _requester(caller), timeout_s=timeout_s, is_held_back=is_held_back
        )


@retried
def _note_detaching(cell: OpenCell, begun: Workflow, *, is_shown: bool) -> None:
    with cell.db.writer() as session:
        volumes.note_detaching(session, begun, is_shown=is_shown)


@retried
def _keep(cell: OpenCell, begun: Workflow) -> None:
    with cell.db.writer() as session:
        volumes.keep(session, begun)


@retried
def _note_deletion(cell: OpenCell, uuid: str, volume_id: str, *, delete: bool) -> None:
    with cell.db.writer() as session:
        volumes.set_delete_on_termination(session, uuid, volume_id, delete=delete)
