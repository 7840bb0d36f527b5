"""What the fake driver does with volumes: its guests remember which they have."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nova_lite import errors
from nova_lite.compute.virt.fake_records import Plugged, Record
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.model.guest import GuestSpec, PowerState, VolumeDisk


class FakeVolumes:
    """The part of ``FakeDriver`` that has volumes. It takes every kind of connection that has a name.

    A guest that keeps its disk is scripted: ``fail("detach_volume", Timeout(…))``.
    """

    faults: FaultScript
    #: By their attachments, the volumes this host has been led to and was not told to forget.
    reached: set[str]
    #: Volumes that grew while guests had them, and how large they are.
    extended: dict[str, int]
    _hostname: str
    _host_ip: str
    _lock: threading.Lock
    _records: dict[str, Record]

    def connector(self) -> Mapping[str, object]:
        """Return what a host with libvirt tells of itself."""
        self.faults.play("connector")
        return {
            "host": self._hostname,
            "ip": self._host_ip,
            "platform": "x86_64",
            "os_type": "linux",
            "multipath": False,
            "initiator": f"iqn.1994-05.example.fake:{self._hostname}",
        }

    def attach_volume(self, uuid: str, disk: VolumeDisk) -> None:
        """Remember a volume."""
        self.faults.play("attach_volume")
        known = self._known(uuid)
        (wanted,) = self._plugged((disk,))
        others = [one for one in known.volumes if one.volume_id != disk.volume_id]
        if any(one.device_name == disk.device_name for one in others if disk.device_name):
            raise errors.GuestFailed(f"The server has another disk at {disk.device_name}.")
        self._reach((disk,))
        if len(others) == len(known.volumes):
            self._store(replace(known, volumes=(*others, wanted)))
        elif known.power_state is PowerState.SHUTDOWN:
            has = tuple(wanted if one.volume_id == disk.volume_id else one for one in known.volumes)
            self._store(replace(known, volumes=has))
        self.faults.play("attach_volume", after=True)

    def detach_volume(self, uuid: str, volume_id: str, *, timeout_s: float) -> None:
        """Forget a volume."""
        self.faults.play("detach_volume")
        known = self._records.get(uuid)
        if known is not None:
            gone = [one for one in known.volumes if one.volume_id == volume_id]
            if gone:
                kept = tuple(one for one in known.volumes if one.volume_id != volume_id)
                self._store(replace(known, volumes=kept))
            self.reached.difference_update(one.attachment_id for one in gone)
        self.faults.play("detach_volume", after=True)

    def extend_volume(self, uuid: str, volume_id: str, size_gib: int) -> None:
        """Remember how large a volume is."""
        self.faults.play("extend_volume")
        if any(one.volume_id == volume_id for one in self._known(uuid).volumes):
            self.extended[volume_id] = size_gib
        self.faults.play("extend_volume", after=True)

    def swap_volume(self, uuid: str, disk: VolumeDisk, *, timeout_s: float, goes_on: Callable[[], bool]) -> None:
        """Remember that a volume is reached by another connection."""
        self.faults.play("swap_volume")
        known = self._known(uuid)
        (wanted,) = self._plugged((disk,))
        has = next((one for one in known.volumes if one.volume_id == disk.volume_id), None)
        if has is None:
            raise errors.GuestFailed(f"The server has no volume {disk.volume_id}.")
        if has.attachment_id != wanted.attachment_id:
            if known.power_state not in (PowerState.RUNNING, PowerState.PAUSED):
                raise errors.GuestFailed("The server does not run: its volume cannot be copied from below it.")
            self._reach((disk,))
            if not goes_on():
                raise errors.Conflict(f"Volume {disk.volume_id} is not to be swapped any more.")
            swapped = replace(has, attachment_id=wanted.attachment_id)
            self._store(replace(known, volumes=tuple(swapped if one is has else one for one in known.volumes)))
        self.faults.play("swap_volume", after=True)

    def release_volume(self, connection: Mapping[str, object]) -> None:
        """Forget a connection."""
        self.faults.play("release_volume")
        self.reached.discard(_attachment(connection))
        self.faults.play("release_volume", after=True)

    def volumes_of(self, uuid: str) -> list[str]:
        """Return the volumes that are remembered."""
        self.faults.play("volumes_of")
        return [one.volume_id for one in self._known(uuid).volumes]

    def plugged(self, uuid: str) -> tuple[Plugged, ...]:
        """Return all that is remembered of a guest's volumes; for tests."""
        return self._known(uuid).volumes

    def _volumes(self, spec: GuestSpec) -> tuple[Plugged, ...]:
        """Return the volumes of a guest that is made."""
        found = self._plugged(spec.volumes)
        self._reach(spec.volumes)
        return found

    def _plugged(self, disks: tuple[VolumeDisk, ...]) -> tuple[Plugged, ...]:
        for disk in disks:
            if not disk.connection.get("driver_volume_type"):
                raise errors.GuestFailed(f"Nobody said how volume {disk.volume_id} is reached.")
        return tuple(
            Plugged(
                disk.volume_id,
                disk.device_name,
                _attachment(disk.connection),
                disk.is_shareable,
                str(disk.connection.get("device_path") or ""),
            )
            for disk in disks
        )

    def _reach(self, disks: tuple[VolumeDisk, ...]) -> None:
        self.reached.update(found for disk in disks if (found := _attachment(disk.connection)))

    def _known(self, uuid: str) -> Record:
        raise NotImplementedError

    def _store(self, record: Record) -> None:
        raise NotImplementedError


def _attachment(connection: Mapping[str, Any]) -> str:
    return str(connection.get("attachment_id") or "")
