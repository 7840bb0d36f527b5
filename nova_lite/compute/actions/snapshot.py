"""Copy a guest's disk into an image."""

import logging
import uuid as uuids
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from nova_lite import errors
from nova_lite.compute.actions.spawn import Fence, Spawner
from nova_lite.compute.virt.driver import Driver
from nova_lite.model import block_device
from nova_lite.model.guest import PowerState
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance

LOG = logging.getLogger(__name__)


class ImageStore(Protocol):
    """Where images go to."""

    def show(self, image_id: str) -> Image:
        """Return what is known of an image; raises NotFound, Unavailable."""
        ...

    def upload(self, image_id: str, disk_format: str, path: Path) -> None:
        """Give an image that waits for it its file; raises NotFound, Forbidden, Unavailable."""
        ...

    def delete(self, image_id: str) -> None:
        """Remove an image; none is no error. Raises Forbidden, Unavailable."""
        ...

    def like(self, **properties: str) -> list[Image]:
        """Return the images that have these properties, newest first."""
        ...


class SnapshotFence(Fence, Protocol):
    """Wants to know how far copies are."""

    def uploading(self, host: str, instance_uuid: str, epoch: int) -> None:
        """Tell that the copy of the instance's disk is made, and goes to where images are. May be lost."""
        ...


class Snapshotter:
    """Makes images of this host's guests; ``directory`` is where their files are until they are uploaded."""

    def __init__(self, host: str, driver: Driver, images: ImageStore, fence: SnapshotFence, directory: Path) -> None:
        self._host = host
        self._driver = driver
        self._images = images
        self._fence = fence
        self._directory = directory

    def take(self, instance_uuid: str, epoch: int, action: str, image_id: str, *, timeout_s: float) -> PowerState:
        """Fill the image that waits for the guest's disk, and return the guest's power state.

        Raises Conflict when ``action`` is not being done here (any more), and removes the image nobody waits for;
        GuestFailed when the image is gone or may not be filled.
        """
        if not self._fence.may_do(action, self._host, instance_uuid, epoch):
            self.discard(image_id)
            raise errors.Conflict(f"Instance {instance_uuid} is not being copied on this host.")
        try:
            if self._images.show(image_id).status != "active":
                self._fill(instance_uuid, epoch, image_id, timeout_s)
        except errors.NotFound as exc:
            raise errors.GuestFailed(f"Image {image_id} was deleted while it was made.") from exc
        except errors.Forbidden as exc:
            raise errors.GuestFailed(exc.message) from exc
        guest = self._driver.guest(instance_uuid)
        if guest is None:
            raise errors.GuestFailed("The guest vanished while its disk was copied.")
        return guest.power_state

    def discard(self, image_id: str, *, even_filled: bool = False) -> None:
        """Remove an image that was never filled, or whatever image it is."""
        try:
            if not even_filled and self._images.show(image_id).status == "active":
                return
        except errors.NotFound:
            return
        self._images.delete(image_id)

    def rotate(self, instance_uuid: str, backup_type: str, keep: int, project_id: str, *, newest: str) -> None:
        """Remove the oldest backups of this type that ``project_id`` owns beyond the ``keep`` newest.

        Anybody may make images that call themselves backups of the instance: those of others count for nothing here.
        Images tell their age in whole seconds: ``newest`` is the one just made, whatever others of that second say.
        """
        found = self._images.like(instance_uuid=instance_uuid, image_type="backup", backup_type=backup_type)
        ours = [image for image in found if image.status == "active" and image.owner in (None, project_id)]
        ours.sort(key=lambda image: image.id != newest)
        for image in ours[keep:]:
            LOG.info("Backup %s of instance %s makes room for newer ones", image.id, instance_uuid)
            self._images.delete(image.id)

    def _fill(self, instance_uuid: str, epoch: int, image_id: str, timeout_s: float) -> None:
        try:
            # The hypervisor's own user writes here.
            self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError as exc:
            raise errors.Unavailable("The host cannot keep the copy of a disk", cause=str(exc)) from exc
        path = self._directory / f"{image_id}.{uuids.uuid4()}"
        try:
            try:
                disk_format = self._driver.snapshot(instance_uuid, path, timeout_s=timeout_s)
            except errors.NotFound as exc:
                raise errors.GuestFailed(f"Instance {instance_uuid} has no guest on its host.") from exc
            self._fence.uploading(self._host, instance_uuid, epoch)
            self._images.upload(image_id, disk_format, path)
        finally:
            path.unlink(missing_ok=True)


class Unshelver:
    """Makes guests again whose disks were put into images."""

    def __init__(self, spawner: Spawner, images: ImageStore) -> None:
        self._spawner = spawner
        self._images = images

    def build(self, instance: Instance) -> PowerState:
        """Make and start the guest from its image, or the volume it boots from; raises as ``Spawner.build``.

        GuestFailed when the image is gone.
        """
        if block_device.root_of(instance.volumes) is not None:
            return self._spawner.build(instance)
        image_id = instance.shelved_image
        if image_id is None:
            raise errors.GuestFailed(f"Instance {instance.uuid} has no image of its disk.")
        try:
            status = self._images.show(image_id).status
        except errors.NotFound as exc:
            raise errors.GuestFailed(f"Unshelve attempted but the image {image_id} cannot be found.") from exc
        if status != "active":
            raise errors.GuestFailed(f"Unshelve attempted but the image {image_id} is {status}.")
        return self._spawner.build(replace(instance, image_id=image_id))


def clean(directory: Path) -> None:
    """Remove the files that snapshots cut short by an agent's end left."""
    for path in directory.glob("*"):
        path.unlink(missing_ok=True)
