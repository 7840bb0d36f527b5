"""The part of the drivers' interface by which guests get and lose volumes."""

from collections.abc import Callable, Mapping
from typing import Protocol

from nova_lite.model.guest import VolumeDisk


class Volumes(Protocol):
    """What a hypervisor can do with volumes; those in ``GuestSpec.volumes`` come and go with their guest.

    Everything may be said twice. Raises NotFound when the guest is not here, Unavailable as all of the driver does.
    """

    def connector(self) -> Mapping[str, object]:
        """Return what the block storage service must know of this host to give it a volume: its name, address …"""
        ...

    def attach_volume(self, uuid: str, disk: VolumeDisk) -> None:
        """Make a volume a disk of the guest, running or not, now and whenever it starts.

        One that is off and has it already has it by this connection from now on.
        Raises GuestFailed for a connection of a kind this host cannot use, and for a device that is another volume's.
        A failure leaves nothing behind.
        """
        ...

    def detach_volume(self, uuid: str, volume_id: str, *, timeout_s: float) -> None:
        """Take a volume's disk from the guest and let this host forget it; raises Timeout when the guest keeps it.

        A guest that keeps it may let go later: the next call finds that. No guest, or none with the disk, is no error.
        """
        ...

    def extend_volume(self, uuid: str, volume_id: str, size_gib: int) -> None:
        """Have a guest see that a volume has grown to ``size_gib``; one that is off, or lacks it, is no error."""
        ...

    def swap_volume(self, uuid: str, disk: VolumeDisk, *, timeout_s: float, goes_on: Callable[[], bool]) -> None:
        """Copy one of a running guest's volumes to where ``disk`` says, and have the guest use that from then on.

        ``disk.volume_id`` is what the guest has it by, before and afterwards. A guest that has it there already keeps
        it there: copying it away ends. What an earlier call began is gone on with. ``goes_on`` is asked now and then,
        and right before the guest goes over: when not, Conflict. Raises GuestFailed when the guest does not run, lacks
        the volume or cannot use the other one, for instance as it is of another size, Timeout when the copy is not
        whole in time; what was begun goes on then, until somebody has the guest keep its volume where it is.
        """
        ...

    def release_volume(self, connection: Mapping[str, object]) -> None:
        """Let this host forget a volume that no guest of it has any more; one it does not know is no error."""
        ...

    def volumes_of(self, uuid: str) -> list[str]:
        """Return the ids of the volumes that are disks of the guest."""
        ...
