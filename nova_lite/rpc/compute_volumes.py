"""Messages about volumes of guests."""

from typing import Any

import msgspec

from nova_lite.model.block_device import BlockDevice
from nova_lite.rpc.compute_calls import TOPIC, Calls


class VolumeCalls(Calls):
    """What is said of volumes."""

    def attach_volume(
        self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float
    ) -> None:
        """Connect a volume and give it to the guest. Raises Conflict, GuestFailed, NotFound."""
        self._bus.call(
            TOPIC,
            "attach_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
        )

    def detach_volume(
        self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float
    ) -> None:
        """Take a volume from the guest and from the host. Raises GuestFailed when the guest keeps it, Conflict."""
        self._bus.call(
            TOPIC,
            "detach_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
        )

    def extend_volume(self, host: str, instance_uuid: str, volume_id: str, size_gib: int, *, timeout_s: float) -> None:
        """Have the guest see that a volume has grown; raises NotFound without the guest."""
        self._bus.call(
            TOPIC,
            "extend_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            volume_id=volume_id,
            size_gib=size_gib,
        )

    def swap_volume(self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float) -> None:
        """Have the running guest go over to a device's next volume. Raises Conflict, GuestFailed, NotFound."""
        self._bus.call(
            TOPIC,
            "swap_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
            timeout_s=timeout_s,
        )

    def swap_volume_back(
        self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float
    ) -> None:
        """Have the guest have a device's volume where it was, and the host forget the next one; raises as the other."""
        self._bus.call(
            TOPIC,
            "swap_volume_back",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
            timeout_s=timeout_s,
        )

    def connector(self, host: str) -> dict[str, Any]:
        """Return what the block storage service must know of a host to give it volumes."""
        return dict(self._bus.call(TOPIC, "connector", server=host))
