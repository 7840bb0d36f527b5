"""The part of the driver's interface that is about volumes; ``volumes.py`` and ``block_copies.py`` do it."""

from collections.abc import Callable, Mapping

from nova_lite.compute.virt.libvirt.volumes import Volumes
from nova_lite.model.guest import VolumeDisk


class VolumeDriver:
    """What a driver does with volumes."""

    _volumes: Volumes

    def connector(self) -> Mapping[str, object]:
        """Return who this host is."""
        return self._volumes.connector()

    def attach_volume(self, uuid: str, disk: VolumeDisk) -> None:
        """Plug the volume in."""
        self._volumes.attach(uuid, disk)

    def detach_volume(self, uuid: str, volume_id: str, *, timeout_s: float) -> None:
        """Ask the guest for the disk until it lets go."""
        self._volumes.detach(uuid, volume_id, timeout_s=timeout_s)

    def swap_volume(self, uuid: str, disk: VolumeDisk, *, timeout_s: float, goes_on: Callable[[], bool]) -> None:
        """Have QEMU copy the disk, and go over to the copy."""
        self._volumes.swap(uuid, disk, timeout_s=timeout_s, goes_on=goes_on)

    def release_volume(self, connection: Mapping[str, object]) -> None:
        """Have libvirt forget the volume's secret, and give up its device: connections of QEMU end with the guest."""
        self._volumes.release(connection)

    def volumes_of(self, uuid: str) -> list[str]:
        """Look into the guest's definition."""
        return self._volumes.of(uuid)

    def extend_volume(self, uuid: str, volume_id: str, size_gib: int) -> None:
        """Have QEMU look at the volume's size again."""
        self._volumes.extend(uuid, volume_id, size_gib)
