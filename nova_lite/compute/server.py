"""What an agent answers on its cell's bus; the client side is ``rpc/compute.py``.

One instance has one caller at a time; everything may be said twice.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from nova_lite.compute import uptime
from nova_lite.compute.actions.consoles import Consoles
from nova_lite.compute.actions.live_migration import LiveMigrator
from nova_lite.compute.actions.move import Mover
from nova_lite.compute.actions.power import Power
from nova_lite.compute.actions.rescue import Rescuer
from nova_lite.compute.actions.snapshot import Snapshotter, Unshelver
from nova_lite.compute.actions.spawn import Spawner
from nova_lite.compute.actions.volume_swaps import VolumeSwapper
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.reconcilers import Reconciler
from nova_lite.concurrency import KeyedLocks
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import RescueDevice
from nova_lite.model.instance import Instance
from nova_lite.model.live_migration import Landing, Leaving


class ComputeEndpoint:
    """The ear of one host's agent."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a host does, by parts
        self,
        spawner: Spawner,
        power: Power,
        moves: Mover,
        live: LiveMigrator,
        rescuer: Rescuer,
        snapshotter: Snapshotter,
        unshelver: Unshelver,
        volumes: VolumePlugger,
        swapper: VolumeSwapper,
        consoles: Consoles,
        reconciler: Reconciler,
        locks: KeyedLocks,
    ) -> None:
        self._reconciler = reconciler
        self._spawner = spawner
        self._power = power
        self._rescuer = rescuer
        self._moves = moves
        self._live = live
        self._snapshotter = snapshotter
        self._unshelver = unshelver
        self._volumes = volumes
        self._swapper = swapper
        self._consoles = consoles
        self._locks = locks

    def build(self, instance: dict[str, Any]) -> int:
        wanted = msgspec.convert(instance, Instance)
        with self._locks.hold(wanted.uuid):
            return int(self._spawner.build(wanted))

    def rebuild(self, instance: dict[str, Any], start: bool) -> int:
        wanted = msgspec.convert(instance, Instance)
        with self._locks.hold(wanted.uuid):
            return int(self._spawner.build(wanted, start=start, is_new=False))

    def put_in_order(self, instance_uuid: str) -> None:
        with self._locks.hold(instance_uuid):
            self._reconciler.put_in_order(instance_uuid)

    def destroy(self, instance_uuid: str, volumes: list[dict[str, Any]]) -> None:
        with self._locks.hold(instance_uuid):
            self._spawner.destroy(instance_uuid, _devices(volumes))

    def power_on(self, instance_uuid: str, epoch: int, volumes: Sequence[dict[str, Any]] = ()) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._power.on(instance_uuid, epoch, _devices(volumes)))

    def power_off(self, instance_uuid: str, epoch: int) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._power.off(instance_uuid, epoch))

    def reboot(self, instance_uuid: str, epoch: int, hard: bool, volumes: Sequence[dict[str, Any]] = ()) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._power.reboot(instance_uuid, epoch, _devices(volumes), hard=hard))

    def pause(self, instance_uuid: str, epoch: int) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._power.pause(instance_uuid, epoch))

    def unpause(self, instance_uuid: str, epoch: int) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._power.unpause(instance_uuid, epoch))

    def suspend(self, instance_uuid: str, epoch: int) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._power.suspend(instance_uuid, epoch))

    def resume(self, instance_uuid: str, epoch: int) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._power.resume(instance_uuid, epoch))

    def disks_at(self, instance_uuid: str) -> str:
        with self._locks.hold(instance_uuid):
            return self._moves.disks_at(instance_uuid)

    def check_reach(self, disks_at: str) -> None:
        self._moves.check_reach(disks_at)

    def set_aside(self, instance_uuid: str, epoch: int) -> None:
        with self._locks.hold(instance_uuid):
            self._moves.set_aside(instance_uuid, epoch)

    def receive(self, instance: dict[str, Any], disks_at: str, start: bool) -> int:
        wanted = msgspec.convert(instance, Instance)
        with self._locks.hold(wanted.uuid):
            return int(self._moves.receive(wanted, disks_at, start=start))

    def bring_back(self, instance_uuid: str, epoch: int, start: bool, volumes: Sequence[dict[str, Any]] = ()) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._moves.bring_back(instance_uuid, epoch, _devices(volumes), start=start))

    def discard(self, instance_uuid: str, epoch: int, volumes: Sequence[dict[str, Any]] = ()) -> None:
        with self._locks.hold(instance_uuid):
            self._moves.discard(instance_uuid, epoch, _devices(volumes))

    def keep_disks(self, instance_uuid: str, epoch: int) -> None:
        with self._locks.hold(instance_uuid):
            self._moves.keep_disks(instance_uuid, epoch)

    def sees_disks(self, instance_uuid: str) -> bool:
        return self._moves.sees_disks(instance_uuid)

    def drop_aside(self, instance_uuid: str, volumes: Sequence[dict[str, Any]] = ()) -> None:
        with self._locks.hold(instance_uuid):
            self._moves.drop_aside(instance_uuid, _devices(volumes))

    def leaving(self, instance_uuid: str) -> dict[str, Any]:
        with self._locks.hold(instance_uuid):
            return _plain(self._live.leaving(instance_uuid))

    def check_landing(self, instance_uuid: str, leaving: dict[str, Any], copies_disks: bool | None) -> bool:
        told = msgspec.convert(leaving, Leaving)
        return self._live.check_landing(instance_uuid, told, copies_disks=copies_disks)

    def prepare_landing(
        self, instance: dict[str, Any], migration: str, leaving: dict[str, Any], copies_disks: bool
    ) -> dict[str, Any]:
        wanted, told = msgspec.convert(instance, Instance), msgspec.convert(leaving, Leaving)
        with self._locks.hold(wanted.uuid):
            return _plain(self._live.prepare_landing(wanted, migration, told, copies_disks=copies_disks))

    def depart(self, instance_uuid: str, migration: str, landing: dict[str, Any]) -> None:
        with self._locks.hold(instance_uuid):
            self._live.depart(instance_uuid, migration, msgspec.convert(landing, Landing))

    def departure(self, instance_uuid: str, wait_s: float) -> dict[str, Any]:
        # Not the instance's lock: nobody waits for one who only looks on.
        return _plain(self._live.departure(instance_uuid, wait_s=wait_s))

    def stay(self, instance_uuid: str, migration: str) -> None:
        with self._locks.hold(instance_uuid):
            self._live.stay(instance_uuid, migration)

    def hurry(self, instance_uuid: str, migration: str) -> None:
        with self._locks.hold(instance_uuid):
            self._live.hurry(instance_uuid, migration)

    def abandon_landing(
        self, instance_uuid: str, migration: str, epoch: int, volumes: Sequence[dict[str, Any]] = ()
    ) -> bool:
        with self._locks.hold(instance_uuid):
            return self._live.abandon_landing(instance_uuid, migration, epoch, _devices(volumes))

    def finish_landing(self, instance_uuid: str, migration: str, epoch: int) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._live.finish_landing(instance_uuid, migration, epoch))

    def clear_departed(self, instance_uuid: str, migration: str, volumes: Sequence[dict[str, Any]] = ()) -> None:
        with self._locks.hold(instance_uuid):
            self._live.clear_departed(instance_uuid, migration, _devices(volumes))

    def rescue(self, instance: dict[str, Any], image_id: str, device: dict[str, Any] | None = None) -> int:
        wanted = msgspec.convert(instance, Instance)
        seen_as = None if device is None else msgspec.convert(device, RescueDevice)
        with self._locks.hold(wanted.uuid):
            return int(self._rescuer.rescue(wanted, image_id, seen_as))

    def unrescue(self, instance_uuid: str, epoch: int, during: str, start: bool) -> int:
        with self._locks.hold(instance_uuid):
            return int(self._rescuer.unrescue(instance_uuid, epoch, during=during, start=start))

    def attach_volume(self, instance_uuid: str, epoch: int, device: dict[str, Any]) -> None:
        with self._locks.hold(instance_uuid):
            self._volumes.attach(instance_uuid, epoch, msgspec.convert(device, BlockDevice))

    def detach_volume(self, instance_uuid: str, epoch: int, device: dict[str, Any]) -> None:
        with self._locks.hold(instance_uuid):
            self._volumes.detach(instance_uuid, epoch, msgspec.convert(device, BlockDevice))

    def extend_volume(self, instance_uuid: str, volume_id: str, size_gib: int) -> None:
        with self._locks.hold(instance_uuid):
            self._volumes.extend(instance_uuid, volume_id, size_gib)

    def swap_volume(self, instance_uuid: str, epoch: int, device: dict[str, Any], timeout_s: float) -> None:
        # Not the instance's lock, for it takes long: a delete does not wait, and has the copy fail.
        with self._locks.hold(device["uuid"]):
            self._swapper.swap(instance_uuid, epoch, msgspec.convert(device, BlockDevice), timeout_s=timeout_s)

    def swap_volume_back(self, instance_uuid: str, epoch: int, device: dict[str, Any], timeout_s: float) -> None:
        with self._locks.hold(device["uuid"]):
            self._swapper.swap_back(instance_uuid, epoch, msgspec.convert(device, BlockDevice), timeout_s=timeout_s)

    def connector(self) -> dict[str, object]:
        return self._volumes.connector()

    def console_output(self, instance_uuid: str, lines: int | None) -> str:
        return self._power.console_output(instance_uuid, lines)

    def console(self, instance_uuid: str, kind: str) -> dict[str, Any]:
        return _plain(self._consoles.find(instance_uuid, kind))

    def diagnostics(self, instance_uuid: str) -> dict[str, Any]:
        return _plain(self._power.diagnostics(instance_uuid))

    def set_password(self, instance_uuid: str, user: str, password: str) -> None:
        with self._locks.hold(instance_uuid):
            self._power.set_password(instance_uuid, user, password)

    def freeze(self, instance_uuid: str, epoch: int, image_id: str) -> None:
        with self._locks.hold(instance_uuid):
            self._power.freeze(instance_uuid, epoch, image_id)

    def thaw(self, instance_uuid: str) -> None:
        with self._locks.hold(instance_uuid):
            self._power.thaw(instance_uuid)

    def inject_nmi(self, instance_uuid: str) -> None:
        self._power.inject_nmi(instance_uuid)

    def cache_image(self, image_id: str) -> None:
        self._spawner.cache_image(image_id)

    def snapshot(self, instance_uuid: str, epoch: int, action: str, image_id: str, timeout_s: float) -> int:
        # Not the instance's lock, for it takes long: a delete does not wait, and has the copy fail.
        with self._locks.hold(image_id):
            return int(self._snapshotter.take(instance_uuid, epoch, action, image_id, timeout_s=timeout_s))

    def discard_image(self, image_id: str, even_filled: bool = False) -> None:
        self._snapshotter.discard(image_id, even_filled=even_filled)

    def unshelve(self, instance: dict[str, Any]) -> int:
        wanted = msgspec.convert(instance, Instance)
        with self._locks.hold(wanted.uuid):
            return int(self._unshelver.build(wanted))

    def rotate_backups(
        self, instance_uuid: str, backup_type: str, keep: int, project_id: str, newest: str = ""
    ) -> None:
        self._snapshotter.rotate(instance_uuid, backup_type, keep, project_id, newest=newest)

    def contents(self) -> dict[str, Any]:
        guests, asides = self._moves.contents()
        return {"guests": msgspec.to_builtins(guests), "asides": asides}

    def uptime(self) -> str:
        return uptime.text()


def _devices(volumes: Sequence[dict[str, Any]]) -> list[BlockDevice]:
    return msgspec.convert(volumes, list[BlockDevice])


def _plain(value: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain
