"""A driver of Cinder whose volumes have no data: whatever is asked of it has been done.

Runs in Cinder's environment; nova_lite is not there.
"""

import io
from typing import Any

from cinder import interface
from cinder.volume import driver

_CAPACITY_GIB = 100_000
#: What an image made of a volume holds.
_IMAGE = bytes(1024)


@interface.volumedriver
class PretendedVolumes(driver.VolumeDriver):  # type: ignore[misc]
    """One pool, whose volumes may grow, be attached to several servers at once, and come from and become images."""

    VERSION = "1.0"

    def check_for_setup_error(self) -> None:
        """Find nothing wrong."""

    def get_volume_stats(self, refresh: bool = False) -> dict[str, Any]:
        """Tell what the pool is like."""
        name = self.configuration.volume_backend_name
        free = {"total_capacity_gb": _CAPACITY_GIB, "free_capacity_gb": _CAPACITY_GIB, "reserved_percentage": 0}
        can = {"multiattach": True, "online_extend_support": True, "QoS_support": False}
        pool = {"pool_name": name, **free, **can}
        told = {"vendor_name": "nova_lite", "driver_version": self.VERSION, "storage_protocol": "pretended"}
        self._stats = {"volume_backend_name": name, **told, "pools": [pool]}
        return self._stats

    # -- volumes and snapshots ----------------------------------------------------------------------------------------

    def create_volume(self, volume: Any) -> None:
        """Make a volume."""

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        """Make a volume with what a snapshot has."""

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        """Make a volume with what another has."""

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Let a volume grow."""

    def delete_volume(self, volume: Any) -> None:
        """Forget a volume."""

    def create_snapshot(self, snapshot: Any) -> None:
        """Make a snapshot."""

    def delete_snapshot(self, snapshot: Any) -> None:
        """Forget a snapshot."""

    def revert_to_snapshot(self, context: Any, volume: Any, snapshot: Any) -> None:
        """Give a volume what a snapshot has."""

    def retype(self, context: Any, volume: Any, new_type: Any, diff: Any, host: Any) -> bool:
        """Let a volume be of any type."""
        return True

    # -- images -------------------------------------------------------------------------------------------------------

    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any], bool]:
        """Make a volume with what an image has, which needs no reading."""
        return {}, True

    def copy_image_to_volume(
        self,
        context: Any,
        volume: Any,
        image_service: Any,
        image_id: str,
        disable_sparse: bool = False,
    ) -> None:
        """Give a volume what an image has."""

    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        """Make an image of a volume: a few bytes."""
        store = image_meta.get("store_id")
        image_service.update(context, image_meta["id"], {}, io.BytesIO(_IMAGE), store_id=store)

    # -- connections --------------------------------------------------------------------------------------------------

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Let a volume be reached, after a start too."""

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        """Let a volume be reached."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Let a volume be reached no more."""

    def initialize_connection(self, volume: Any, connector: Any, **options: Any) -> dict[str, Any]:
        """Tell a host how it reaches a volume."""
        return {"driver_volume_type": "pretended", "data": {"volume_id": volume.id, "access_mode": "rw"}}

    def terminate_connection(self, volume: Any, connector: Any, **options: Any) -> None:
        """Let a host reach a volume no more."""
