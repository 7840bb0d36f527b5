"""Make a guest on this host, and remove it."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from nova_lite import errors
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import BaseImage, GuestSpec, PowerState, VolumeDisk
from nova_lite.model.instance import Instance

LOG = logging.getLogger(__name__)


class Fence(Protocol):
    """Knows what is being done to an instance and where: the cell's conductor. Keeps out late and doubled messages."""

    def may_run(self, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and is being started."""
        ...

    def may_stop(self, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and is being stopped."""
        ...

    def may_do(self, action: str, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and ``action`` is being done to it."""
        ...


class ImageSource(Protocol):
    """Brings image files to this host."""

    def fetch(self, image_id: str) -> BaseImage:
        """Return the verified file of an image, downloading it if it is not here yet."""
        ...


class Spawner:
    """Makes and removes guests of one host."""

    def __init__(
        self,
        host: str,
        driver: Driver,
        images: ImageSource,
        fence: Fence,
        volumes: VolumePlugger,
        drives: ConfigDrives,
    ) -> None:
        self._host = host
        self._driver = driver
        self._images = images
        self._fence = fence
        self._volumes = volumes
        self._drives = drives

    def build(self, instance: Instance, *, start: bool = True, is_new: bool = True) -> PowerState:
        """Make the guest, unless it is here already, and start it if it shall run; return its power state.

        A guest of an older epoch is replaced with its disks. One that ``is_new`` may have been tried on another host.

        Raises Conflict when the instance is not being built here (any more), GuestFailed for what the user must change,
        HostFailed for what another host might do, Unavailable when the conductor cannot be asked.
        """
        volumes = self._volumes.disks(instance, anew=is_new)
        with host_failures():
            spec = guest_spec(instance, volumes, self._drives.files(instance))
            needs_image = self._driver.needs_image and not spec.boots_from_volume
            image = self._images.fetch(instance.image_id) if needs_image else None
        # Asked last, for the image may have taken minutes; that nobody answers is no failure of this host.
        if not self._fence.may_run(self._host, instance.uuid, instance.epoch):
            raise errors.Conflict(f"Instance {instance.uuid} is not being built on this host.")
        with host_failures():
            self._driver.spawn(spec, image, start=start)
            guest = self._driver.guest(instance.uuid)
        if guest is None:
            raise errors.HostFailed("The guest vanished as soon as it was started.")
        return guest.power_state

    def cache_image(self, image_id: str) -> None:
        """Have an image here for the guests to come; nothing where guests need none."""
        if self._driver.needs_image:
            self._images.fetch(image_id)

    def destroy(self, instance_uuid: str, volumes: Sequence[BlockDevice] = ()) -> None:
        """Remove the guest and all it left here; this host forgets its ``volumes``."""
        self._driver.destroy(instance_uuid)
        self._volumes.release(instance_uuid, volumes)


@contextlib.contextmanager
def host_failures() -> Iterator[None]:
    """Tell what only this host, or only the user, can be blamed for."""
    try:
        yield
    except (errors.Conflict, errors.GuestFailed):
        raise
    except (errors.NotFound, errors.Invalid) as exc:
        raise errors.GuestFailed(exc.message) from exc
    except errors.NovaLiteError as exc:
        LOG.warning("This host could not start the server: %s %s", exc, exc.facts)
        raise errors.HostFailed(f"The host could not start the server: {exc.message}", cause=exc.facts) from exc
    except Exception as exc:
        # Whatever it is, it happened here; its words are not for users.
        LOG.exception("This host could not start the server")
        raise errors.HostFailed("The host could not start the server: an internal error happened.") from exc


def guest_spec(
    instance: Instance, volumes: tuple[VolumeDisk, ...] = (), config_files: Mapping[str, bytes] | None = None
) -> GuestSpec:
    """Return what the hypervisor is told about ``instance``: its ``volumes`` as disks of its host, its config drive."""
    return GuestSpec(
        uuid=instance.uuid,
        name=instance.display_name,
        epoch=instance.epoch,
        vcpus=instance.flavor.vcpus,
        ram_mib=instance.flavor.ram_mib,
        root_gib=instance.flavor.root_gib,
        ephemeral_gib=instance.flavor.ephemeral_gib,
        swap_mib=instance.flavor.swap_mib,
        has_config_drive=instance.has_config_drive,
        config_files=dict(config_files or {}),
        image_properties=instance.image_properties,
        volumes=volumes,
    )
