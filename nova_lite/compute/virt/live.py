"""The part of the drivers' interface by which guests go from one host to another while they run."""

from typing import Protocol

from nova_lite.model.guest import GuestSpec
from nova_lite.model.live_migration import Departure, Landing, Leaving


class LiveMoves(Protocol):
    """What a hypervisor can do with guests that leave or come while they run.

    A guest that comes has the epoch it is to have here from the beginning, and may be seen among the guests before it
    has landed. Who may run it is the hypervisors' to settle: it stands still on one before it runs on the other.
    ``destroy`` breaks off either side, and leaves disks alone that are the other host's.
    """

    def leaving(self, uuid: str) -> Leaving:
        """Return what another host must be able to do to take the guest; raises Conflict when it does not run."""
        ...

    def check_landing(self, uuid: str, leaving: Leaving, *, copies_disks: bool | None) -> bool:
        """Return whether the guest's disks are copied to come here, as ``copies_disks`` wants it (None: as it must be).

        Raises HostFailed when the guest cannot come here.
        """
        ...

    def prepare_landing(self, spec: GuestSpec, leaving: Leaving, *, copies_disks: bool) -> Landing:
        """Have ready what the guest needs here, disks as large as its own among it, and return where it may come to."""
        ...

    def has_landed(self, uuid: str, epoch: int) -> bool:
        """Return whether the guest is here whole, with this epoch: it depends on no other host any more."""
        ...

    def finish_landing(self, uuid: str, epoch: int) -> None:
        """Make the guest, which has landed, one of this host as any other; raises NotFound when it is not here."""
        ...

    def depart(self, uuid: str, landing: Landing) -> None:
        """Begin to send the guest to ``landing``, unless that is under way, or the guest has gone."""
        ...

    def departure(self, uuid: str) -> Departure:
        """Return how far a guest's leaving is; one that is not here is gone."""
        ...

    def stay(self, uuid: str) -> None:
        """Break off what ``depart`` began, if it can be still; the guest goes on here."""
        ...

    def hurry(self, uuid: str) -> None:
        """Have a guest that leaves stand still, or go on on the other host at once, so that it arrives soon."""
        ...
