"""An agent's ear on a fake driver, for tests of what it does when told."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

import msgspec

from nova_lite import config
from nova_lite.clients.vendordata import Teller
from nova_lite.clients.volumes import Volumes
from nova_lite.compute.actions.consoles import Consoles
from nova_lite.compute.actions.live_migration import LiveMigrator
from nova_lite.compute.actions.move import Mover
from nova_lite.compute.actions.power import Power
from nova_lite.compute.actions.rescue import Rescuer
from nova_lite.compute.actions.snapshot import Snapshotter, Unshelver
from nova_lite.compute.actions.spawn import Spawner
from nova_lite.compute.actions.volume_swaps import VolumeSwapper
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.reconcilers import Reconciler
from nova_lite.compute.server import ComputeEndpoint
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.concurrency import KeyedLocks
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import BaseImage, PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.live_migration import Patience
from nova_lite.model.states import TaskState, VmState
from nova_lite.rpc.conductor import ConductorClient
from tests.unit.compute.image_store import ImageStore

NOON = datetime.fromisoformat("2026-01-02T12:00:00")
INSTANCE = Instance(
    uuid="0341c77c-0072-4b7c-9507-6e0086d49a3b",
    project_id="demo",
    user_id="alice",
    display_name="vm",
    hostname="vm",
    vm_state=VmState.BUILDING,
    task_state=TaskState.SPAWNING,
    flavor=Flavor("1", "tiny", 1, 64, 1),
    image_id="image",
    created_at=NOON,
    updated_at=NOON,
    host="host1",
    epoch=1,
)
UUID = INSTANCE.uuid


@dataclass
class Fence:
    """A conductor's word on what may happen; raises what it is given."""

    may: bool = True
    error: Exception | None = None
    away: list[str] = field(default_factory=list)
    live: str | None = None
    asked: list[tuple[str, str, str, int]] = field(default_factory=list)

    def may_run(self, host: str, instance_uuid: str, epoch: int) -> bool:
        return self._answer("run", host, instance_uuid, epoch)

    def may_stop(self, host: str, instance_uuid: str, epoch: int) -> bool:
        return self._answer("stop", host, instance_uuid, epoch)

    def may_leave(self, host: str, instance_uuid: str, epoch: int) -> bool:
        return self._answer("leave", host, instance_uuid, epoch)

    def moved_away(self, host: str) -> list[str]:
        return self.away

    def live_status(self, host: str, migration: str) -> str | None:
        return self.live

    def may_do(self, action: str, host: str, instance_uuid: str, epoch: int) -> bool:
        return self._answer(action, host, instance_uuid, epoch)

    def may_freeze(self, host: str, instance_uuid: str, epoch: int, image_id: str) -> bool:
        return self._answer(f"freeze for {image_id}", host, instance_uuid, epoch)

    def uploading(self, host: str, instance_uuid: str, epoch: int) -> None:
        self.asked.append(("uploading", host, instance_uuid, epoch))

    def _answer(self, what: str, host: str, instance_uuid: str, epoch: int) -> bool:
        self.asked.append((what, host, instance_uuid, epoch))
        if self.error is not None:
            raise self.error
        return self.may


@dataclass
class Images:
    """One image, or an error."""

    error: Exception | None = None
    virtual_size: int = 1 << 20

    def fetch(self, image_id: str) -> BaseImage:
        if self.error is not None:
            raise self.error
        return BaseImage(image_id, "/images/image", "raw", self.virtual_size)


class Host:
    """An agent's ear on a fake driver."""

    def __init__(self, *, needs_image: bool = False, directory: Path = Path("unused")) -> None:
        self.driver = FakeDriver("host1", needs_image=needs_image)
        self.fence = Fence()
        self.images = Images()
        self.store = ImageStore()
        self.volumes = VolumePlugger(
            "host1",
            self.driver,
            Volumes(config.load(files=[])),
            cast(ConductorClient, self.fence),
            patience_s=lambda: 1,
        )
        drives = ConfigDrives(Teller(config.load(files=[])))
        spawner = Spawner("host1", self.driver, self.images, self.fence, self.volumes, drives)
        locks = KeyedLocks()
        self.ear = ComputeEndpoint(
            spawner,
            Power("host1", self.driver, self.fence, self.volumes, shutdown_timeout_s=lambda: 1),
            Mover("host1", self.driver, self.fence, self.volumes, drives, shutdown_timeout_s=lambda: 1),
            LiveMigrator("host1", self.driver, self.fence, self.volumes, drives, Patience),
            Rescuer("host1", self.driver, self.images, self.fence, self.volumes, drives, shutdown_timeout_s=lambda: 1),
            Snapshotter("host1", self.driver, self.store, self.fence, directory),
            Unshelver(spawner, self.store),
            self.volumes,
            VolumeSwapper(
                "host1", self.driver, Volumes(config.load(files=[])), self.volumes, cast(ConductorClient, self.fence)
            ),
            Consoles(config.load(files=[]), self.driver),
            Reconciler("host1", self.driver, cast(ConductorClient, self.fence), self.volumes, locks),
            locks,
        )

    def build(self, instance: Instance = INSTANCE) -> int:
        return self.ear.build(msgspec.to_builtins(instance))

    def state(self) -> PowerState | None:
        guest = self.driver.guest(UUID)
        return None if guest is None else guest.power_state
