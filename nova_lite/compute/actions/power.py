"""Start, stop, reboot, pause and suspend a guest of this host; read its console, look into it, reach into it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from nova_lite import errors
from nova_lite.compute.actions.spawn import Fence
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.diagnostics import Diagnostics
from nova_lite.model.guest import PowerState


class PowerFence(Fence, Protocol):
    """Knows of which servers images are made."""

    def may_freeze(self, host: str, instance_uuid: str, epoch: int, image_id: str) -> bool:
        """Return whether this instance, at this epoch, is on ``host`` and an image is made of its volumes."""
        ...


class Power:
    """Changes guests' power; ``shutdown_timeout_s`` is the grace a guest gets to shut down by itself.

    Whoever is started has its ``volumes`` by the ways that the block storage service tells then.
    """

    def __init__(
        self,
        host: str,
        driver: Driver,
        fence: PowerFence,
        volumes: VolumePlugger,
        *,
        shutdown_timeout_s: Callable[[], float],
    ) -> None:
        self._host = host
        self._driver = driver
        self._fence = fence
        self._volumes = volumes
        self._shutdown_timeout_s = shutdown_timeout_s

    def on(self, instance_uuid: str, epoch: int, volumes: Sequence[BlockDevice] = ()) -> PowerState:
        """Start the guest; raises Conflict when it is not being started here (any more)."""
        self._check(instance_uuid, epoch)
        if volumes:
            self._volumes.match(instance_uuid, volumes)
        self._driver.power_on(instance_uuid)
        return self._state(instance_uuid)

    def off(self, instance_uuid: str, epoch: int) -> PowerState:
        """Shut the guest down; raises Conflict when nobody is stopping it (any more)."""
        if not self._fence.may_stop(self._host, instance_uuid, epoch):
            raise errors.Conflict(f"Instance {instance_uuid} is not being stopped on this host.")
        self._driver.power_off(instance_uuid, timeout_s=self._shutdown_timeout_s())
        return self._state(instance_uuid)

    def reboot(self, instance_uuid: str, epoch: int, volumes: Sequence[BlockDevice] = (), *, hard: bool) -> PowerState:
        """Reboot the guest; raises Conflict when it is not being started here (any more)."""
        self._check(instance_uuid, epoch)
        if hard and volumes:
            # Asked before the guest is touched: one whose volume was taken from the server runs on.
            disks = self._volumes.ways(instance_uuid, volumes)
            self._driver.power_off(instance_uuid, timeout_s=0)
            self._volumes.give(instance_uuid, volumes, disks)
        self._driver.reboot(instance_uuid, hard=hard, timeout_s=self._shutdown_timeout_s())
        return self._state(instance_uuid)

    def pause(self, instance_uuid: str, epoch: int) -> PowerState:
        """Pause the guest. This and the like raise Conflict when it is not being done here (any more)."""
        return self._do("pause", self._driver.pause, instance_uuid, epoch)

    def unpause(self, instance_uuid: str, epoch: int) -> PowerState:
        """Let the paused guest run on."""
        return self._do("unpause", self._driver.unpause, instance_uuid, epoch)

    def suspend(self, instance_uuid: str, epoch: int) -> PowerState:
        """Save the guest's memory and turn it off."""
        return self._do("suspend", self._driver.suspend, instance_uuid, epoch)

    def resume(self, instance_uuid: str, epoch: int) -> PowerState:
        """Let the suspended guest run on."""
        return self._do("resume", self._driver.resume, instance_uuid, epoch)

    def console_output(self, instance_uuid: str, lines: int | None) -> str:
        """Return the end of the guest's console log; bytes that are no text are replaced."""
        return self._driver.console_output(instance_uuid, lines=lines).decode("utf-8", errors="replace")

    def diagnostics(self, instance_uuid: str) -> Diagnostics:
        """Return how the running guest fares."""
        return self._driver.diagnostics(instance_uuid)

    def set_password(self, instance_uuid: str, user: str, password: str) -> None:
        """Set a password in the running guest."""
        self._driver.set_password(instance_uuid, user, password)

    def freeze(self, instance_uuid: str, epoch: int, image_id: str) -> None:
        """Freeze the running guest's file systems; raises Conflict when the image is not being made (any more)."""
        if not self._fence.may_freeze(self._host, instance_uuid, epoch, image_id):
            raise errors.Conflict(f"No image {image_id} is being made of instance {instance_uuid} on this host.")
        self._driver.freeze(instance_uuid)

    def thaw(self, instance_uuid: str) -> None:
        """Let the guest go on; one that does not run needs nothing."""
        self._driver.thaw(instance_uuid)

    def inject_nmi(self, instance_uuid: str) -> None:
        """Interrupt the running guest."""
        self._driver.inject_nmi(instance_uuid)

    def _do(self, action: str, deed: Callable[[str], None], instance_uuid: str, epoch: int) -> PowerState:
        if not self._fence.may_do(action, self._host, instance_uuid, epoch):
            raise errors.Conflict(f"Instance {instance_uuid} is not asked to {action} on this host.")
        deed(instance_uuid)
        return self._state(instance_uuid)

    def _check(self, instance_uuid: str, epoch: int) -> None:
        if not self._fence.may_run(self._host, instance_uuid, epoch):
            raise errors.Conflict(f"Instance {instance_uuid} is not being started on this host.")

    def _state(self, instance_uuid: str) -> PowerState:
        guest = self._driver.guest(instance_uuid)
        if guest is None:
            raise errors.NotFound(f"Instance {instance_uuid} has no guest on its host.")
        return guest.power_state
