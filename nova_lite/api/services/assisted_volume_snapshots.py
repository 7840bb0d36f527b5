"""Snapshots that a server's host is to make of a volume: refused, each with its reason.

Block storage services ask for them whose volumes are qcow2 files on shared file systems: a layer is put on the file
below the running guest. No connection of that kind is known here, and the volumes of those that are hold raw data: a
guest would read the layer itself at its next start.
"""

from nova_lite import errors
from nova_lite.api.services.server_lookup import ServerLookup
from nova_lite.clients.volumes import Volumes
from nova_lite.model import block_device
from nova_lite.model.instance import Instance


class AssistedVolumeSnapshotService:
    """Says why a server's host makes no snapshot of a volume, and has none to remove."""

    def __init__(self, lookup: ServerLookup, volumes: Volumes) -> None:
        self._lookup = lookup
        self._volumes = volumes

    def refuse(self, volume_id: str) -> None:
        """Raise Invalid, saying what is in the way; Unavailable when nobody can say who has the volume."""
        instance = self._holder(volume_id)
        if instance.host is None:
            raise errors.Invalid(f"Instance {instance.uuid} is not ready: it has no host.")
        if instance.task_state is not None:
            raise errors.Invalid(
                f"Cannot snapshot volumes of instance {instance.uuid} while it is in task_state {instance.task_state}"
            )
        raise errors.Invalid(
            f"Invalid volume: volume {volume_id} is no qcow2 file on a shared file system, and hosts make snapshots of "
            "no others."
        )

    def _holder(self, volume_id: str) -> Instance:
        """Return the one server that has a volume."""
        try:
            volume = self._volumes.as_service().show(volume_id)
        except errors.Misconfigured as exc:
            raise errors.Unsupported("This cloud has no block storage service that it could ask.") from exc
        except (errors.NotFound, errors.Invalid) as exc:
            raise _not_attached(volume_id) from exc
        holders = {use.instance_uuid for use in volume.attachments if use.instance_uuid}
        if len(holders) > 1:
            raise errors.Invalid(
                f"Block Device Mapping {volume_id} is a multi-attach volume and is not valid for this."
            )
        try:
            instance = self._lookup.find_for_services(next(iter(holders), "")).instance
        except errors.NotFound as exc:
            raise _not_attached(volume_id) from exc
        if block_device.of_volume(instance.volumes, volume_id) is None:
            raise _not_attached(volume_id)
        return instance


def _not_attached(volume_id: str) -> errors.Invalid:
    return errors.Invalid(f"No volume Block Device Mapping with id {volume_id[:64]}.")
