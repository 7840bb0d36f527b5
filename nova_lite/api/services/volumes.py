"""The way through to block storage for clients that know this API only: what they ask is asked there, as them."""

from nova_lite import errors
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model.caller import Caller
from nova_lite.model.volume import NewVolume, Volume, VolumeSnapshot

_AVAILABLE = "available"


def as_user(volumes: Volumes, caller: Caller) -> VolumesAs:
    """Return the volumes that a caller sees; raises Unsupported where there is no block storage service."""
    try:
        return volumes.as_user(caller.token or "")
    except errors.Misconfigured as exc:
        raise errors.Unsupported("This cloud has no block storage service that it could ask.") from exc


class VolumeService:
    """Volumes, as the caller's token lets block storage show them. All raise Unavailable and what they say."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def every(self, caller: Caller) -> list[Volume]:
        """Return the volumes of the caller's project."""
        return as_user(self._volumes, caller).every()

    def show(self, caller: Caller, volume_id: str) -> Volume:
        """Return a volume; raises NotFound."""
        return as_user(self._volumes, caller).show(volume_id)

    def create(self, caller: Caller, new: NewVolume) -> Volume:
        """Begin to make a volume; raises NotFound for its snapshot, Invalid, OverQuota."""
        service = as_user(self._volumes, caller)
        if new.snapshot_id is not None:
            service.snapshot(new.snapshot_id)
        return service.create(new)

    def delete(self, caller: Caller, volume_id: str) -> None:
        """Begin to delete a volume; raises NotFound, Invalid when its state forbids it."""
        service = as_user(self._volumes, caller)
        service.show(volume_id)
        service.delete(volume_id)


class SnapshotService:
    """Snapshots of volumes, as the caller's token lets block storage show them. All raise Unavailable too."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def every(self, caller: Caller) -> list[VolumeSnapshot]:
        """Return the snapshots of the caller's project."""
        return as_user(self._volumes, caller).every_snapshot()

    def show(self, caller: Caller, snapshot_id: str) -> VolumeSnapshot:
        """Return a snapshot; raises NotFound."""
        return as_user(self._volumes, caller).snapshot(snapshot_id)

    def create(
        self, caller: Caller, volume_id: str, name: str, description: str, *, may_be_in_use: bool
    ) -> VolumeSnapshot:
        """Begin to snapshot a volume; raises NotFound, OverQuota, Invalid for one in use that may not be."""
        service = as_user(self._volumes, caller)
        volume = service.show(volume_id)
        if not may_be_in_use and volume.status != _AVAILABLE:
            raise errors.Invalid(f"Volume {volume.id} is {volume.status}: without force it must be {_AVAILABLE}")
        return service.create_snapshot(volume.id, name, description)

    def delete(self, caller: Caller, snapshot_id: str) -> None:
        """Begin to delete a snapshot; raises NotFound, Invalid when its state forbids it."""
        service = as_user(self._volumes, caller)
        service.snapshot(snapshot_id)
        service.delete_snapshot(snapshot_id)
