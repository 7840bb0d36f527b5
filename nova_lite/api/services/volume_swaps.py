"""Putting another volume in the place of one that a running server has: what the block storage service asks for.

It does so while it migrates a volume, or gives it another type. Nobody else may: then the volume would be another one.
"""

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import volume_attachments as rules
from nova_lite.api.services import volume_reservations
from nova_lite.api.services.server_lookup import ServerLookup, refuse_if_locked, target
from nova_lite.api.services.volume_attachments import Changes, VolumeAttachmentService
from nova_lite.cells import operations, volume_swaps, volumes
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.volume import Volume
from nova_lite.storage import retried

_MIGRATING, _AVAILABLE, _READ_ONLY = "migrating", "available", "ro"


class VolumeSwapService:
    """Begins swaps; a conductor of the server's cell carries them out."""

    def __init__(
        self, conf: cfg.ConfigOpts, lookup: ServerLookup, volumes: Volumes, attachments: VolumeAttachmentService
    ) -> None:
        self._conf = conf
        self._lookup = lookup
        self._volumes = volumes
        self._attachments = attachments

    def swap(self, caller: Caller, uuid: str, volume_id: str, next_id: str, changes: Changes | None) -> None:
        """Begin to put the volume ``next_id``, reserved when this returns, in a volume's place; first note ``changes``.

        Raises NotFound when server or volume are not there, Invalid for a next volume that cannot take the place,
        Conflict when the volume is not being migrated or the server's state forbids it, Unavailable.
        """
        find = self._lookup.find_for_services if caller.may(rules.SWAP) else None
        located = find(uuid) if find is not None else self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.SWAP, **target(instance))
        if changes is not None:
            self._attachments.change(located, volume_id, changes)
        service = self._attachments.as_user(caller)
        volume = service.show(volume_id)
        if volume.migration_status != _MIGRATING:
            raise errors.Conflict(
                f"volume {volume_id} is not migrating; this API should only be called by the block storage service"
            )
        try:
            new = service.show(next_id)
        except errors.NotFound as exc:
            raise errors.Invalid(exc.message) from exc
        refuse_if_locked(caller, instance)
        operations.refuse_if_wrong_state(instance, volumes.SWAP)
        refuse(instance, volume, new, cross_az_attach=self._conf.cinder.cross_az_attach)
        _refuse_shared(self._volumes.as_service(), volume)
        if located.cell is None:
            raise errors.Conflict(f"Instance {uuid} is not ready: it has no cell yet.")
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        device = _begin(located.cell, uuid, volume_id, next_id, requester, self._conf.volume_swap_timeout)
        volume_reservations.reserve(
            device,
            uuid,
            located.cell,
            user=service,
            volumes=self._volumes,
            records=volume_swaps,
            requester=requester,
        )


def refuse(instance: Instance, volume: Volume, new: Volume, *, cross_az_attach: bool) -> None:
    """Raise Invalid when ``new`` cannot take the place of a server's ``volume``: pure."""
    if instance.uuid not in {use.instance_uuid for use in volume.attachments}:
        raise errors.Invalid("Invalid volume: Old volume is attached to a different instance.")
    if new.attachments:
        raise errors.Invalid("Invalid volume: New volume must be detached in order to swap.")
    if new.size_gib < volume.size_gib:
        raise errors.Invalid("Invalid volume: New volume must be the same size or larger.")
    if instance.availability_zone != new.availability_zone and not cross_az_attach:
        raise errors.Invalid(
            f"Invalid volume: Instance {instance.uuid} and volume {new.id} are not in the same availability_zone. "
            f"Instance is in {instance.availability_zone}. Volume is in {new.availability_zone}"
        )
    if new.status != _AVAILABLE:
        raise errors.Invalid(
            f"Invalid volume: volume '{new.id}' status must be 'available'. Currently in '{new.status}'"
        )


def _refuse_shared(service: VolumesAs, volume: Volume) -> None:
    """Raise Invalid for a volume that several may write to: what one writes meanwhile the others would not see."""
    if len(volume.attachments) < 2:
        return
    modes = {found.id: found.mode for found in service.attachments_to(volume.id)}
    if sum(modes.get(use.attachment_id) != _READ_ONLY for use in volume.attachments) > 1:
        raise errors.Invalid("Swapping multi-attach volumes with more than one read/write attachment is not supported.")


@retried
def _begin(
    cell: OpenCell, uuid: str, volume_id: str, next_id: str, requester: Requester, timeout_s: float
) -> BlockDevice:
    with cell.db.writer() as session:
        return volume_swaps.begin(session, uuid, volume_id, next_id, requester, timeout_s=timeout_s)
