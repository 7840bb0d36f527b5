"""Boot a guest of this host from another image's disk, its own disks beside it, and back from its own."""

from collections.abc import Callable

from nova_lite import errors
from nova_lite.compute.actions.spawn import Fence, ImageSource, guest_spec, host_failures
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.guest import PowerState, RescueDevice
from nova_lite.model.instance import Instance


class Rescuer:
    """Rescues guests; ``shutdown_timeout_s`` is the grace one gets to shut down by itself before."""

    def __init__(
        self,
        host: str,
        driver: Driver,
        images: ImageSource,
        fence: Fence,
        volumes: VolumePlugger,
        drives: ConfigDrives,
        *,
        shutdown_timeout_s: Callable[[], float],
    ) -> None:
        self._host = host
        self._driver = driver
        self._images = images
        self._fence = fence
        self._shutdown_timeout_s = shutdown_timeout_s
        self._volumes = volumes
        self._drives = drives

    def rescue(self, instance: Instance, image_id: str, device: RescueDevice | None) -> PowerState:
        """Boot the guest from a fresh disk of the image; raises Conflict when nobody rescues it here (any more).

        Raises GuestFailed and HostFailed as a build does.
        """
        with host_failures():
            image = self._images.fetch(image_id) if self._driver.needs_image else None
        self._check("rescue", instance.uuid, instance.epoch)
        with host_failures():
            spec = guest_spec(instance, self._volumes.disks(instance), self._drives.files(instance))
            self._driver.rescue(spec, image, timeout_s=self._shutdown_timeout_s(), device=device)
        return self._state(instance.uuid)

    def unrescue(self, instance_uuid: str, epoch: int, *, during: str, start: bool) -> PowerState:
        """Give the guest its own disk back, and start it if it is to run; ``during`` names what this is a part of."""
        self._check(during, instance_uuid, epoch)
        self._driver.unrescue(instance_uuid, start=start)
        return self._state(instance_uuid)

    def _check(self, action: str, instance_uuid: str, epoch: int) -> None:
        if not self._fence.may_do(action, self._host, instance_uuid, epoch):
            raise errors.Conflict(f"Instance {instance_uuid} is not asked to {action} on this host.")

    def _state(self, instance_uuid: str) -> PowerState:
        guest = self._driver.guest(instance_uuid)
        if guest is None:
            raise errors.NotFound(f"Instance {instance_uuid} has no guest on its host.")
        return guest.power_state
