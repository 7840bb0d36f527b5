"""Move a guest away from this host, to it, and back.

A guest that leaves is set aside: it cannot be started, nor seen, until it is brought back or dropped.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from nova_lite import errors
from nova_lite.compute.actions.spawn import Fence, guest_spec
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import Guest, PowerState
from nova_lite.model.instance import Instance


class MoveFence(Fence, Protocol):
    """Knows also which guests are moved away, and which of them may yet come back."""

    def may_leave(self, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, is on ``host`` and is being moved away."""
        ...

    def moved_away(self, host: str) -> list[str]:
        """Return the instances that have moved away from ``host`` and may yet come back."""
        ...


class Mover:
    """Moves guests; ``shutdown_timeout_s`` is the grace a guest gets to shut down by itself.

    What is asked late or twice is refused with Conflict.
    """

    def __init__(
        self,
        host: str,
        driver: Driver,
        fence: MoveFence,
        volumes: VolumePlugger,
        drives: ConfigDrives,
        *,
        shutdown_timeout_s: Callable[[], float],
    ) -> None:
        self._host = host
        self._driver = driver
        self._fence = fence
        self._volumes = volumes
        self._drives = drives
        self._shutdown_timeout_s = shutdown_timeout_s

    def contents(self) -> tuple[list[Guest], list[str]]:
        """Return the guests of this host, running or not, and of which guests something was set aside here."""
        return self._driver.guests(), self._driver.asides()

    def disks_at(self, instance_uuid: str) -> str:
        """Return where the guest's disks can be had."""
        return self._driver.disks_at(instance_uuid)

    def check_reach(self, disks_at: str) -> None:
        """Raise HostFailed when this host cannot have disks that are there."""
        self._driver.check_reach(disks_at)

    def set_aside(self, instance_uuid: str, epoch: int) -> None:
        """Shut the guest down and set it aside."""
        if not self._fence.may_leave(self._host, instance_uuid, epoch):
            raise errors.Conflict(f"Instance {instance_uuid} is not being moved away from this host.")
        self._driver.set_aside(instance_uuid, timeout_s=self._shutdown_timeout_s())

    def receive(self, instance: Instance, disks_at: str, *, start: bool) -> PowerState:
        """Make the guest of disks from elsewhere, and start it if it shall run; return its power state."""
        self._check_may_come(instance)
        spec = guest_spec(instance, self._volumes.disks(instance), self._drives.files(instance))
        self._driver.receive(spec, disks_at, start=False)
        if start:
            # Asked again, for disks may take an hour.
            self._check_may_come(instance)
            self._driver.power_on(instance.uuid)
        return self._state(instance.uuid)

    def bring_back(
        self, instance_uuid: str, epoch: int, volumes: Sequence[BlockDevice] = (), *, start: bool
    ) -> PowerState:
        """Make a guest again of what was set aside, and start it if it shall run; return its power state.

        ``volumes`` are those it is to have.
        """
        if not self._fence.may_run(self._host, instance_uuid, epoch):
            raise errors.Conflict(f"Instance {instance_uuid} is not being moved back to this host.")
        self._driver.bring_back(instance_uuid, epoch, start=False)
        self._volumes.match(instance_uuid, volumes)
        if start:
            self._driver.power_on(instance_uuid)
        return self._state(instance_uuid)

    def discard(self, instance_uuid: str, epoch: int, volumes: Sequence[BlockDevice] = ()) -> None:
        """Remove the guest, but not one newer than ``epoch``, nor what was set aside; its ``volumes`` are forgotten."""
        guest = self._driver.guest(instance_uuid)
        if guest is None:
            self._driver.clear_attempt(instance_uuid)
        elif guest.epoch <= epoch:
            self._driver.destroy(instance_uuid)
        self._volumes.release(instance_uuid, volumes)

    def keep_disks(self, instance_uuid: str, epoch: int) -> None:
        """Make the guest's disks this host's, should another have made them that sees them, too."""
        if not self._fence.may_run(self._host, instance_uuid, epoch):
            raise errors.Conflict(f"Instance {instance_uuid} is not being moved to this host.")
        self._driver.keep_disks(instance_uuid)

    def sees_disks(self, instance_uuid: str) -> bool:
        """Return whether disks of the guest are here that another host made."""
        return self._driver.sees_disks(instance_uuid)

    def drop_aside(self, instance_uuid: str, volumes: Sequence[BlockDevice] = ()) -> None:
        """Remove what was set aside of the guest; the ``volumes`` it had here are forgotten."""
        if instance_uuid in self._fence.moved_away(self._host):
            raise errors.Conflict(f"Instance {instance_uuid} may yet come back to this host.")
        self._driver.drop_aside(instance_uuid)
        self._volumes.release(instance_uuid, volumes)

    def _check_may_come(self, instance: Instance) -> None:
        if not self._fence.may_run(self._host, instance.uuid, instance.epoch):
            raise errors.Conflict(f"Instance {instance.uuid} is not being moved to this host.")

    def _state(self, instance_uuid: str) -> PowerState:
        guest = self._driver.guest(instance_uuid)
        if guest is None:
            raise errors.NotFound(f"Instance {instance_uuid} has no guest on its host.")
        return guest.power_state
