"""Volumes of this host's guests: how this host reaches them, and plugging them in and out.

How a host reaches a volume holds secrets: it is asked of the block storage service when it is needed, and kept nowhere.
"""

import logging
from collections.abc import Iterable
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

    def __init__(self, host: str, driver: Driver, volumes: Volumes, fence: VolumeFence, *, patience_s: float) -> None:
        self._host = host
        self._driver = driver
        self._volumes = volumes
        self._fence = fence
        self._patience_s = patience_s

    def connector(self) -> dict[str, object]:
        """Return what the block storage service must know of this host."""
        return dict(self._driver.connector())

    def disks(self, instance: Instance) -> tuple[VolumeDisk, ...]:
        """Return an instance's volumes as disks for this host, each connected to it anew.

        Raises GuestFailed for a volume that is gone, Unavailable when the block storage service does not answer.
        """
        return tuple(self.disk(device) for device in instance.volumes if device.phase is Phase.ATTACHED)

    def disk(self, device: BlockDevice) -> VolumeDisk:
        """Return a volume as a disk for this host, connected to it."""
        if device.attachment_id is None or device.volume_id is None:
            raise errors.GuestFailed(f"The volume for {device.device_name} is not there.")
        try:
            attachment = self._volumes.as_service().connect(device.attachment_id, self.connector())
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
        disk = self.disk(device)
        try:
            self._driver.attach_volume(instance_uuid, disk)
        except errors.NovaLiteError:
            self._release(disk)
            raise

    def detach(self, instance_uuid: str, epoch: int, device: BlockDevice) -> None:
        """Take a volume from the guest and let this host forget it; raises GuestFailed when the guest keeps it."""
        if not self._fence.may_unplug(self._host, instance_uuid, epoch, device.uuid):
            raise errors.Conflict(f"Volume {device.volume_id} is not being detached from instance {instance_uuid}.")
        if device.volume_id is not None:
            try:
                self._driver.detach_volume(instance_uuid, device.volume_id, timeout_s=self._patience_s)
            except errors.Timeout as exc:
                raise errors.GuestFailed(f"The guest does not let go of volume {device.volume_id}.") from exc
        self.release((device,))

    def release(self, devices: Iterable[BlockDevice]) -> None:
        """Let this host forget volumes that no guest of it has any more; one whose attachment is gone is forgotten."""
        for device in devices:
            if device.attachment_id is None or device.volume_id is None:
                continue
            try:
                attachment = self._volumes.as_service().attachment(device.attachment_id)
            except errors.NotFound:
                continue
            if attachment.connection_info:
                self._driver.release_volume(attachment.connection_info)

    def _release(self, disk: VolumeDisk) -> None:
        try:
            self._driver.release_volume(disk.connection)
        except errors.NovaLiteError as exc:
            LOG.warning("Volume %s is still connected to this host: %s", disk.volume_id, exc)
