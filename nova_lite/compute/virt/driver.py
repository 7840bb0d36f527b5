"""The interface every hypervisor driver keeps.

One driver object serves one host. Every method may be called from several threads at once, for different guests;
the agent makes sure that one guest has one caller. Every method that changes something may be run twice and must
not mind: what is already so is left alone. Drivers know nothing of the bus, of Placement or of images' origin.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from nova_lite.compute.virt.consoles import Consoles
from nova_lite.compute.virt.inside import Inside
from nova_lite.compute.virt.live import LiveMoves
from nova_lite.compute.virt.volumes import Volumes
from nova_lite.model.guest import BaseImage, Guest, GuestSpec, HostResources, RescueDevice
from nova_lite.model.provider import Provider


def no_matter(_error: Exception) -> None:
    """Tell nobody that the hypervisor is silent."""


class Driver(Consoles, Inside, LiveMoves, Volumes, Protocol):
    """What a hypervisor can do with guests.

    Errors: NotFound when the guest named does not exist (except in ``destroy``), GuestFailed when the user's input
    can never work (a root disk smaller than the image), Conflict when the guest is here with a newer epoch or is in no
    state for what is asked (one that is off cannot be paused), Unavailable
    when the hypervisor does not answer or fails in a way that another attempt or host may not.
    """

    #: Whether ``spawn`` reads the image file; a driver that does not gets ``image=None`` and nothing is downloaded.
    needs_image: bool
    #: Told, once until it answers again, why the hypervisor is not reached; whoever sets it must not make callers wait.
    on_silence: Callable[[Exception], None]

    def connect(self) -> None:
        """Reach the hypervisor and check that it can run guests; raises Unavailable or Misconfigured, saying why."""
        ...

    def close(self) -> None:
        """Let go of the hypervisor; guests go on running."""
        ...

    def resources(self) -> HostResources:
        """Return what this host has in all."""
        ...

    def providers(self) -> tuple[Provider, ...]:
        """Return what this host offers to guests, before reserves and ratios: the host first, parts after it."""
        ...

    def guests(self) -> list[Guest]:
        """Return every guest of this host, running or not."""
        ...

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, or None."""
        ...

    def spawn(self, spec: GuestSpec, image: BaseImage | None, *, start: bool = True) -> None:
        """Make the guest's disks and start it, if it shall run; when it is so already with this epoch, do nothing.

        What a failed or killed attempt left behind is replaced, and so is a guest of an older epoch with its disks.
        Disks that another host made and this one sees are taken instead; they stay that host's until ``keep_disks``.
        A failure leaves nothing behind.
        """
        ...

    def destroy(self, uuid: str) -> None:
        """Stop the guest at once and remove it and everything it left on this host; no guest is no error."""
        ...

    def power_on(self, uuid: str) -> None:
        """Start a stopped guest."""
        ...

    def power_off(self, uuid: str, *, timeout_s: float) -> None:
        """Ask the guest to shut down and wait up to ``timeout_s``, then cut its power; 0 cuts at once.

        The memory of a suspended guest is forgotten: its next start is a boot.
        """
        ...

    def pause(self, uuid: str) -> None:
        """Stop the guest's processors; its memory stays where it is."""
        ...

    def unpause(self, uuid: str) -> None:
        """Let a paused guest run on."""
        ...

    def suspend(self, uuid: str) -> None:
        """Write the guest's memory to the host's disk and turn it off."""
        ...

    def resume(self, uuid: str) -> None:
        """Let a suspended guest run on where it was; one that lost its memory is booted."""
        ...

    def reboot(self, uuid: str, *, hard: bool, timeout_s: float) -> None:
        """Reboot: soft asks the guest and turns hard after ``timeout_s``; hard at once. A stopped guest is started."""
        ...

    def disks_at(self, uuid: str) -> str:
        """Return where the guest's disks can be had, for the driver of the host it moves to."""
        ...

    def check_reach(self, disks_at: str) -> None:
        """Raise HostFailed when this host cannot have the disks of another host's guest, told by its ``disks_at``."""
        ...

    def set_aside(self, uuid: str, *, timeout_s: float) -> None:
        """Shut the guest down as ``power_off`` does, and keep it where nothing starts it: it is no guest any more."""
        ...

    def receive(self, spec: GuestSpec, disks_at: str, *, start: bool) -> None:
        """Make a guest with the disks of one that was set aside, here or on another host, which keeps its own.

        They grow with ``spec``. When the guest is here with this epoch already, it is only started, if it shall be.
        """
        ...

    def bring_back(self, uuid: str, epoch: int, *, start: bool) -> None:
        """Make what was set aside a guest again, of this epoch; one that was not set aside is only started."""
        ...

    def keep_disks(self, uuid: str) -> None:
        """Note that the guest's disks are this host's: no other host that sees them removes them."""
        ...

    def sees_disks(self, uuid: str) -> bool:
        """Return whether the guest's disks are seen here and are another host's."""
        ...

    def clear_attempt(self, uuid: str) -> None:
        """Remove what making the guest here left that did not come to its end; a guest that is whole stays."""
        ...

    def drop_aside(self, uuid: str) -> None:
        """Remove what was set aside of a guest; nothing is no error."""
        ...

    def asides(self) -> list[str]:
        """Return of which guests something was set aside here."""
        ...

    def rescue(
        self, spec: GuestSpec, image: BaseImage | None, *, timeout_s: float, device: RescueDevice | None = None
    ) -> None:
        """Boot the guest from a fresh disk of ``image``, its own disks behind that; one that runs is asked to stop.

        With a ``device`` the fresh disk is that, and comes last: its own disks have the names that they always had.
        A guest that is rescued already keeps its disk, and runs. Raises GuestFailed for a device it cannot have.
        """
        ...

    def unrescue(self, uuid: str, *, start: bool) -> None:
        """Give a rescued guest its own first disk back, and start it or leave it off; one that is not is started."""
        ...

    def snapshot(self, uuid: str, path: Path, *, timeout_s: float) -> str:
        """Write the guest's root disk, as it is at one moment, into the new file ``path`` and return the file's format.

        The guest goes on meanwhile, whatever its power state. Raises Timeout; a failure may leave part of the file.
        """
        ...

    def console_output(self, uuid: str, *, lines: int | None) -> bytes:
        """Return the last ``lines`` lines of the serial console's log (None: all that is kept, at most 100 KiB)."""
        ...
