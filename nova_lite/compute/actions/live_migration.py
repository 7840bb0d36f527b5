"""Send a running guest to another host, and take one in. See ``docs/decisions/0014-live-migration.rst``."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from nova_lite import errors
from nova_lite.compute.actions.spawn import guest_spec, host_failures
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.live_migration import Departure, Landing, Leaving, Patience, Stage

#: Seconds between two looks at a guest that leaves.
_POLL_S = 0.1
_GIB = 1024**3
#: What is copied counts for this many GiB at least: time is needed for the smallest guest, too.
_LEAST_GIB = 2


class LiveFence(Protocol):
    """Knows how far live migrations are: the cell's conductor. Keeps out late and doubled messages."""

    def live_status(self, host: str, migration: str) -> str | None:
        """Return the status of a live migration that leads from ``host`` or to it, unless it is over."""
        ...


class LiveMigrator:
    """One host's part of live migrations. What is asked late or twice is refused with Conflict, or changes nothing."""

    def __init__(
        self,
        host: str,
        driver: Driver,
        fence: LiveFence,
        volumes: VolumePlugger,
        drives: ConfigDrives,
        patience: Callable[[], Patience],
    ) -> None:
        self._host = host
        self._driver = driver
        self._fence = fence
        self._volumes = volumes
        self._drives = drives
        self._patience = patience

    # -- where the guest is -------------------------------------------------------------------------------------

    def leaving(self, instance_uuid: str) -> Leaving:
        """Return what another host must be able to do to take the guest."""
        return replace(self._driver.leaving(instance_uuid), host=self._host)

    def depart(self, instance_uuid: str, migration: str, landing: Landing) -> None:
        """Begin to send the guest, unless that has begun."""
        self._require(migration, "running")
        self._driver.depart(instance_uuid, landing)

    def departure(self, instance_uuid: str, *, wait_s: float) -> Departure:
        """Return how far the guest's leaving is, as soon as it is over or ``wait_s`` have gone.

        One that takes longer than operators allow is ended.
        """
        deadline = time.monotonic() + wait_s
        while True:
            found = self._driver.departure(instance_uuid)
            if found.stage is not Stage.LEAVING:
                return found
            if self._is_too_long(found):
                self._end(instance_uuid)
            if time.monotonic() >= deadline:
                return found
            time.sleep(_POLL_S)

    def _is_too_long(self, found: Departure) -> bool:
        size = (found.progress.memory_total or 0) + (found.progress.disk_total or 0)
        patience_s = self._patience().timeout_s_per_gib * max(_LEAST_GIB, size // _GIB)
        return 0 < patience_s < found.elapsed_s

    def _end(self, instance_uuid: str) -> None:
        if self._patience().forces:
            self._driver.hurry(instance_uuid)
        else:
            self._driver.stay(instance_uuid)

    def stay(self, instance_uuid: str, migration: str) -> None:
        """Break off what ``depart`` began."""
        self._require(migration, "running")
        self._driver.stay(instance_uuid)

    def hurry(self, instance_uuid: str, migration: str) -> None:
        """Have the guest arrive soon, at the price of standing still."""
        self._require(migration, "running")
        self._driver.hurry(instance_uuid)

    def clear_departed(self, instance_uuid: str, migration: str, volumes: Sequence[BlockDevice] = ()) -> None:
        """Remove what the guest left here; the ``volumes`` it had are forgotten."""
        self._require(migration, "post-migrating")
        if self._driver.departure(instance_uuid).stage not in (Stage.GONE, Stage.UNSETTLED):
            raise errors.Conflict(f"Instance {instance_uuid} has not left this host.")
        self._driver.destroy(instance_uuid)
        self._volumes.release(instance_uuid, volumes)

    # -- where it goes ------------------------------------------------------------------------------------------

    def check_landing(self, instance_uuid: str, leaving: Leaving, *, copies_disks: bool | None) -> bool:
        """Return whether the guest's disks are copied to come here. Raises HostFailed when it cannot come."""
        return self._driver.check_landing(instance_uuid, leaving, copies_disks=copies_disks)

    def prepare_landing(self, instance: Instance, migration: str, leaving: Leaving, *, copies_disks: bool) -> Landing:
        """Have ready what the guest needs here."""
        self._require(migration, "preparing")
        # Where disks are not copied the guest keeps the drive it has.
        config_files = self._drives.files(instance) if copies_disks else None
        spec = guest_spec(instance, self._volumes.disks(instance), config_files)
        with host_failures():
            return self._driver.prepare_landing(spec, leaving, copies_disks=copies_disks)

    def abandon_landing(
        self, instance_uuid: str, migration: str, epoch: int, volumes: Sequence[BlockDevice] = ()
    ) -> bool:
        """Remove what is here of a guest that does not come after all; leave it and return True when it has come.

        ``volumes`` are those it was to have here.
        """
        if self._fence.live_status(self._host, migration) is None:
            raise errors.Conflict(f"Migration {migration} is over.")
        if self._driver.has_landed(instance_uuid, epoch):
            return True
        self._driver.destroy(instance_uuid)
        self._volumes.release(instance_uuid, volumes)
        return False

    def finish_landing(self, instance_uuid: str, migration: str, epoch: int) -> PowerState:
        """Make the guest one of this host; return its power state."""
        self._require(migration, "post-migrating")
        self._driver.finish_landing(instance_uuid, epoch)
        guest = self._driver.guest(instance_uuid)
        if guest is None:
            raise errors.NotFound(f"Instance {instance_uuid} has no guest on its host.")
        return guest.power_state

    def _require(self, migration: str, status: str) -> None:
        found = self._fence.live_status(self._host, migration)
        if found != status:
            raise errors.Conflict(f"Migration {migration} is not {status} on this host (any more), but {found}.")
