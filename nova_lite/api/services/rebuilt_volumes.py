"""What a rebuild asks of the volume that its server boots from: left as it is, or filled with the image (2.93)."""

from nova_lite import errors
from nova_lite.clients.volumes import Volumes
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.caller import Caller
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.model.volume import Volume

_GIB = 1 << 30
#: The microversion of the block storage service since which it fills a volume that somebody has.
_REIMAGES = (3, 68)
_IN_USE, _RESERVED = "in-use", "reserved"


class RebuiltVolumes:
    """Asks the block storage service about volumes that servers boot from."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def refuse_unfit(
        self, caller: Caller, instance: Instance, root: BlockDevice, image: Image, *, reimages: bool
    ) -> None:
        """Refuse what cannot be: another image, unless the volume is to be filled with it, and one that does not fit.

        Raises Invalid, NotFound for a volume that is gone, Unsupported when the block storage service is too old,
        Unavailable when it does not answer.
        """
        volume = self._show(caller, str(root.volume_id))
        _refuse_small(volume, image)
        if reimages:
            self._refuse_old()
            _refuse_busy(volume, instance)
        elif volume.image_metadata.get("image_id") != image.id:
            raise errors.Invalid(
                f"Image {image.id} is unacceptable: Unable to rebuild with a different image for a volume-backed"
                " server."
            )

    def _show(self, caller: Caller, volume_id: str) -> Volume:
        try:
            service = self._volumes.as_user(caller.token or "")
        except errors.Misconfigured as exc:
            raise errors.Unsupported("This cloud has no block storage service that it could ask.") from exc
        return service.show(volume_id)

    def _refuse_old(self) -> None:
        spoken, needed = (".".join(map(str, version)) for version in (self._volumes.version(), _REIMAGES))
        if self._volumes.version() < _REIMAGES:
            raise errors.Unsupported(
                "The block storage service is too old to fill the volume that the server boots from with an image: it"
                f" is asked at {spoken}, {needed} is needed. Before version 2.93 the server is rebuilt with the volume"
                " as it is."
            )


def _refuse_small(volume: Volume, image: Image) -> None:
    needed = max(image.size, image.virtual_size or 0, image.min_disk_gib * _GIB)
    if needed > volume.size_gib * _GIB:
        raise errors.Invalid(
            f"Volume {volume.id} is too small for image {image.id}. Volume size is {volume.size_gib * _GIB} bytes, "
            f"minimum size is {needed} bytes."
        )


def _refuse_busy(volume: Volume, instance: Instance) -> None:
    """Raise Invalid for a volume that others have too, or that is not in use: reserved, after a rebuild that failed."""
    others = {use.instance_uuid for use in volume.attachments} - {instance.uuid}
    if others:
        raise errors.Invalid(f"Invalid volume: volume {volume.id} is attached to other servers too.")
    if volume.status == _IN_USE or (volume.status == _RESERVED and instance.vm_state is VmState.ERROR):
        return
    raise errors.Invalid(
        f"Invalid volume: volume '{volume.id}' status must be 'in-use'. Currently in '{volume.status}' status"
    )
