"""Messages about images of guests, on a host and made of its disks."""

from nova_lite.model.guest import PowerState
from nova_lite.rpc.compute_calls import TOPIC, Calls


class ImageCalls(Calls):
    """What is said of images."""

    def cache_image(self, host: str, image_id: str, *, timeout_s: float) -> None:
        """Have an image on the host for the servers to come. Raises GuestFailed for one that can never be used."""
        self._bus.call(TOPIC, "cache_image", server=host, long_s=timeout_s, image_id=image_id)

    def snapshot(
        self, host: str, instance_uuid: str, epoch: int, *, action: str, image_id: str, timeout_s: float
    ) -> PowerState:
        """Fill the image that waits for the guest's disk. Raises GuestFailed when it is gone or may not be filled."""
        answer = self._bus.call(
            TOPIC,
            "snapshot",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            action=action,
            image_id=image_id,
            timeout_s=timeout_s,
        )
        return PowerState(answer)

    def discard_image(self, host: str, image_id: str, *, even_filled: bool = False, timeout_s: float) -> None:
        """Have a host remove an image that was never filled, or whatever image it is."""
        self._bus.call(
            TOPIC, "discard_image", server=host, long_s=timeout_s, image_id=image_id, even_filled=even_filled
        )

    def rotate_backups(
        self, host: str, uuid: str, *, backup_type: str, keep: int, project_id: str, newest: str, timeout_s: float
    ) -> None:
        """Have a host remove the oldest backups of an instance beyond the ``keep`` newest; ``newest`` is just made."""
        self._bus.call(
            TOPIC,
            "rotate_backups",
            server=host,
            long_s=timeout_s,
            instance_uuid=uuid,
            backup_type=backup_type,
            keep=keep,
            project_id=project_id,
            newest=newest,
        )
