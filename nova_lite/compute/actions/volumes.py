"""Volumes of this host's guests: how this host reaches them, and plugging them in and out.

How a host reaches a volume holds secrets: it is asked of the block storage service when it is needed, and kept nowhere.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from nova_lite import errors
from nova_lite.clients.volumes import Volumes
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.guest import VolumeDisk
from nova_lite.model.instance import Instance

LOG = logging.getLogger(__name__)


class VolumeFence(Protocol):
    """Knows which volumes come to guests and go from them: the cell's conductor."""

    def may_plug(self, host: str, instance_uuid: str, epoch: int, device: str) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and gets this volume now."""
        ...

    def may_unplug(self, host: str, instance_uuid: str, epoch: int, device: str) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and loses this volume now."""
        ...


class VolumePlugger:
    """Gives volumes to guests of this host. ``patience_s`` is how long a guest may keep a disk that it is to lose."""

    def __init__(
        self, host: str, driver: Driver, volumes: Volumes, fence: VolumeFence, *, patience_s: Callable[[], float]
    ) -> None:
        self._host = host
        self._driver = driver
        self._volumes = volumes
        self._fence = fence
        self._patience_s = patience_s

    def connector(self) -> dict[str, object]:
        """Return what the block storage service must know of this host."""
        return dict(self._driver.connector())

    def disks(self, instance: Instance, *, anew: bool = False) -> tuple[VolumeDisk, ...]:
        """Return an instance's volumes as disks for this host.

        An attachment that is connected is this host's, for a move makes another one; ``anew``: it may be that of a host
        where the instance could not be built. Raises GuestFailed for a volume that is gone, Unavailable when the block
        storage service does not answer.
        """
        return tuple(self.disk(device, anew=anew) for device in instance.volumes if device.phase is Phase.ATTACHED)

    def disk(self, device: BlockDevice, *, anew: bool = False) -> VolumeDisk:
        """Return a volume as a disk for this host, connected to it; ``anew`` if it was already."""
        if device.attachment_id is None or device.volume_id is None:
            raise errors.GuestFailed(f"The volume for {device.device_name} is not there.")
        service = self._volumes.as_service()
        try:
            # Connecting puts an attachment back to one that is on its way, and is refused where there are two.
            attachment = None if anew else service.attachment(device.attachment_id)
            if attachment is None or not attachment.connection_info:
                attachment = service.connect(
                    device.attachment_id, {**self.connector(), "mountpoint": device.device_name}
                )
        except (errors.NotFound, errors.Invalid, errors.Conflict) as exc:
            raise errors.GuestFailed(f"Volume {device.volume_id} cannot be attached: {exc.message}") from exc
        if attachment.volume_id != device.volume_id:
            raise errors.GuestFailed(f"Attachment {attachment.id} is not of volume {device.volume_id}.")
        return VolumeDisk(
            volume_id=device.volume_id,
            device_name=device.device_name,
            connection=attachment.connection_info,
            bus=device.disk_bus or "virtio",
            boot_index=device.boot_index,
            is_shareable=device.is_multiattach,
            tag=device.tag,
        )

    def attach(self, instance_uuid: str, epoch: int, device: BlockDevice) -> None:
        """Connect a volume to this host and give it to the guest.

        Raises Conflict when nobody wants that (any more), GuestFailed for what cannot be, NotFound without the guest.
        """
        if not self._fence.may_plug(self._host, instance_uuid, epoch, device.uuid):
            raise errors.Conflict(f"Volume {device.volume_id} is not being attached to instance {instance_uuid}.")
        # While the server may come back to another host, there are two, and neither can be connected again.
        disk = self.disk(device, anew=device.old_attachment_id is None)
        try:
            self._driver.attach_volume(instance_uuid, disk)
        except errors.NovaLiteError:
            self._release(instance_uuid, disk)
            raise

    def detach(self, instance_uuid: str, epoch: int, device: BlockDevice) -> None:
        """Take a volume from the guest and let this host forget it; raises GuestFailed when the guest keeps it."""
        if not self._fence.may_unplug(self._host, instance_uuid, epoch, device.uuid):
            raise errors.Conflict(f"Volume {device.volume_id} is not being detached from instance {instance_uuid}.")
        if device.volume_id is not None:
            try:
                self._driver.detach_volume(instance_uuid, device.volume_id, timeout_s=self._patience_s())
            except errors.Timeout as exc:
                raise errors.GuestFailed(f"The guest does not let go of volume {device.volume_id}.") from exc
        self.release(instance_uuid, (device,))

    def extend(self, instance_uuid: str, volume_id: str, size_gib: int) -> None:
        """Have a guest see that a volume has grown to ``size_gib``."""
        self._driver.extend_volume(instance_uuid, volume_id, size_gib)

    def match(self, instance_uuid: str, devices: Sequence[BlockDevice]) -> None:
        """Have a guest that is off, or came back, have these volumes, as this host reaches them now."""
        self.give(instance_uuid, devices, self.ways(instance_uuid, devices))

    def ways(self, instance_uuid: str, devices: Iterable[BlockDevice]) -> tuple[VolumeDisk, ...]:
        """Return volumes as disks of a guest, by how this host reaches them now; raises what ``disk`` raises.

        While the block storage service does not answer, what the guest has already is left out: it stays as it is.
        """
        wanted = [device for device in devices if device.phase is Phase.ATTACHED]
        try:
            return tuple(self.disk(device) for device in wanted)
        except errors.Unavailable as exc:
            if not {str(device.volume_id) for device in wanted} <= set(self._volumes_of(instance_uuid)):
                raise
            LOG.warning("Instance %s keeps the ways to its volumes that it has: %s", instance_uuid, exc)
            return ()

    def give(self, instance_uuid: str, devices: Iterable[BlockDevice], disks: Iterable[VolumeDisk]) -> None:
        """Have a guest that is off have ``disks``, in place of how it had them, and no volumes but ``devices``."""
        known = {str(device.volume_id) for device in devices}
        for gone in self._driver.volumes_of(instance_uuid):
            if gone not in known:
                self._driver.detach_volume(instance_uuid, gone, timeout_s=self._patience_s())
        for disk in disks:
            self._driver.attach_volume(instance_uuid, disk)

    def release(self, instance_uuid: str, devices: Sequence[BlockDevice]) -> None:
        """Let this host forget volumes that a guest has no more; those it has, or whose attachment is gone, stay."""
        if not devices:
            return
        has = self._volumes_of(instance_uuid)
        for device in devices:
            if device.attachment_id is None or device.volume_id is None or device.volume_id in has:
                continue
            try:
                attachment = self._volumes.as_service().attachment(device.attachment_id)
            except errors.NotFound:
                continue
            if attachment.connection_info:
                self._driver.release_volume(attachment.connection_info)

    def _volumes_of(self, instance_uuid: str) -> list[str]:
        try:
            return self._driver.volumes_of(instance_uuid)
        except errors.NotFound:
            return []

    def _release(self, instance_uuid: str, disk: VolumeDisk) -> None:
        """Forget a volume that could not be plugged in, unless the guest had it before."""
        try:
            if disk.volume_id not in self._volumes_of(instance_uuid):
                self._driver.release_volume(disk.connection)
        except errors.NovaLiteError as exc:
            LOG.warning("Volume %s is still connected to this host: %s", disk.volume_id, exc)
