"""Other volumes below running guests of this host, in the place of their own: while they are migrated."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from nova_lite import errors
from nova_lite.clients.volumes import Volumes
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.block_device import BlockDevice, next_of
from nova_lite.model.guest import VolumeDisk


class SwapFence(Protocol):
    """Knows which volumes are swapped: the cell's conductor."""

    def may_swap(self, host: str, instance_uuid: str, epoch: int, device: str, *, back: bool = False) -> bool:
        """Return whether this instance, at this epoch, is on ``host`` and gets another volume for ``device`` now."""
        ...


class VolumeSwapper:
    """Has guests go over to other volumes, and back. The guest knows the volume by one id all the time."""

    def __init__(self, host: str, driver: Driver, volumes: Volumes, plugger: VolumePlugger, fence: SwapFence) -> None:
        self._host = host
        self._driver = driver
        self._volumes = volumes
        self._plugger = plugger
        self._fence = fence

    def swap(self, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float) -> None:
        """Have the guest go over to a device's next volume, and this host forget the old one.

        Raises Conflict when nobody wants that (any more), GuestFailed for what cannot be, NotFound without the guest.
        What failed is taken back by ``swap_back``.
        """
        goes_on = self._permission(instance_uuid, epoch, device, back=False)
        self._driver.swap_volume(instance_uuid, self._next_disk(device), timeout_s=timeout_s, goes_on=goes_on)
        self._forget(device)

    def swap_back(self, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float) -> None:
        """Have the guest, should it be here, have its volume where it was, and this host forget the next one."""
        goes_on = self._permission(instance_uuid, epoch, device, back=True)
        with contextlib.suppress(errors.NotFound):
            self._driver.swap_volume(instance_uuid, self._plugger.disk(device), timeout_s=timeout_s, goes_on=goes_on)
        self._forget(next_of(device))

    def _permission(self, instance_uuid: str, epoch: int, device: BlockDevice, *, back: bool) -> Callable[[], bool]:
        """Return what asks whether it is to be done still, once it was."""

        def goes_on() -> bool:
            return self._fence.may_swap(self._host, instance_uuid, epoch, device.uuid, back=back)

        if not goes_on():
            raise errors.Conflict(f"Volume {device.volume_id} of instance {instance_uuid} is not being swapped.")
        return goes_on

    def _next_disk(self, device: BlockDevice) -> VolumeDisk:
        return replace(self._plugger.disk(next_of(device)), volume_id=str(device.volume_id))

    def _forget(self, device: BlockDevice) -> None:
        """Let this host forget a volume by an attachment that no guest uses any more."""
        if device.attachment_id is None:
            return
        try:
            attachment = self._volumes.as_service().attachment(device.attachment_id)
        except errors.NotFound:
            return
        if attachment.connection_info:
            self._driver.release_volume(attachment.connection_info)
