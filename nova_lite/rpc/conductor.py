"""Messages to conductors: on the API bus the super conductor hears them, on a cell's bus that cell's."""

from typing import Any

import msgspec

from nova_lite.model.block_device import BlockDevice
from nova_lite.model.conductor import ExpectedGuest, HostReport
from nova_lite.model.guest import Guest
from nova_lite.model.payloads import Payload
from nova_lite.rpc.bus import Bus

TOPIC = "conductor"


class ConductorClient:
    """What a conductor can be told and asked."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def wake(self, workflow_uuid: str) -> None:
        """Have a workflow begun now rather than at the next scan. May be lost, late or doubled."""
        self._bus.nudge(TOPIC, "wake", workflow_uuid=workflow_uuid)

    def heartbeat(self, host: str, binary: str) -> None:
        """Say that a service lives. May be lost."""
        self._bus.nudge(TOPIC, "heartbeat", host=host, binary=binary)

    def register_host(self, report: HostReport) -> None:
        """Tell what a compute host is and has, once at its start and when that changes."""
        self._bus.call(TOPIC, "register_host", report=_plain(report))

    def knows_host(self, host: str, node: str) -> bool:
        """Return whether a host is registered; not, when somebody deleted its service while it was at work."""
        return bool(self._bus.call(TOPIC, "knows_host", host=host, node=node))

    def may_run(self, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and is being started there now."""
        answer = self._bus.call(TOPIC, "may_run", host=host, instance_uuid=instance_uuid, epoch=epoch)
        return bool(answer)

    def may_stop(self, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and is being stopped there now."""
        answer = self._bus.call(TOPIC, "may_stop", host=host, instance_uuid=instance_uuid, epoch=epoch)
        return bool(answer)

    def may_do(self, action: str, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and ``action`` is being done to it now."""
        answer = self._bus.call(TOPIC, "may_do", action=action, host=host, instance_uuid=instance_uuid, epoch=epoch)
        return bool(answer)

    def may_plug(self, host: str, instance_uuid: str, epoch: int, device: str) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and gets the volume ``device`` now."""
        answer = self._bus.call(TOPIC, "may_plug", host=host, instance_uuid=instance_uuid, epoch=epoch, device=device)
        return bool(answer)

    def may_unplug(self, host: str, instance_uuid: str, epoch: int, device: str) -> bool:
        """Return whether this instance, at this epoch, belongs on ``host`` and loses the volume ``device`` now."""
        answer = self._bus.call(TOPIC, "may_unplug", host=host, instance_uuid=instance_uuid, epoch=epoch, device=device)
        return bool(answer)

    def may_freeze(self, host: str, instance_uuid: str, epoch: int, image_id: str) -> bool:
        """Return whether this instance, at this epoch, is on ``host`` and an image is made of its volumes now."""
        answer = self._bus.call(
            TOPIC, "may_freeze", host=host, instance_uuid=instance_uuid, epoch=epoch, image_id=image_id
        )
        return bool(answer)

    def may_swap(self, host: str, instance_uuid: str, epoch: int, device: str, *, back: bool = False) -> bool:
        """Return whether this instance, at this epoch, is on ``host`` and gets another volume for ``device`` now.

        ``back``: whether it is to have the old one again.
        """
        answer = self._bus.call(
            TOPIC, "may_swap", host=host, instance_uuid=instance_uuid, epoch=epoch, device=device, back=back
        )
        return bool(answer)

    def may_leave(self, host: str, instance_uuid: str, epoch: int) -> bool:
        """Return whether this instance, at this epoch, is on ``host`` and is being moved away from there now."""
        answer = self._bus.call(TOPIC, "may_leave", host=host, instance_uuid=instance_uuid, epoch=epoch)
        return bool(answer)

    def volumes_of(self, host: str, instance_uuid: str) -> list[BlockDevice]:
        """Return the volumes of an instance that is on ``host``; none of one that is not."""
        answer = self._bus.call(TOPIC, "volumes_of", host=host, instance_uuid=instance_uuid)
        return msgspec.convert(answer, list[BlockDevice])

    def uploading(self, host: str, instance_uuid: str, epoch: int) -> None:
        """Tell that the copy of an instance's disk goes to where images are. May be lost, late or doubled."""
        self._bus.nudge(TOPIC, "uploading", host=host, instance_uuid=instance_uuid, epoch=epoch)

    def live_status(self, host: str, migration: str) -> str | None:
        """Return the status of a live migration that leads from ``host`` or to it, unless it is over."""
        answer = self._bus.call(TOPIC, "live_status", host=host, migration=migration)
        return None if answer is None else str(answer)

    def moved_away(self, host: str) -> list[str]:
        """Return the instances that have moved away from ``host`` and may yet come back."""
        return list(self._bus.call(TOPIC, "moved_away", host=host))

    def expected_guests(self, host: str) -> list[ExpectedGuest]:
        """Return every instance that belongs on ``host``."""
        return msgspec.convert(self._bus.call(TOPIC, "expected_guests", host=host), list[ExpectedGuest])

    def lives(self, instance_uuid: str) -> bool:
        """Return whether the cell has this instance, on whichever host, and it is not deleted."""
        return bool(self._bus.call(TOPIC, "lives", instance_uuid=instance_uuid))

    def evacuated_from(self, host: str) -> list[str]:
        """Return the instances evacuated from ``host``, which has not said yet that it has nothing of them."""
        return list(self._bus.call(TOPIC, "evacuated_from", host=host))

    def report_left(self, host: str, instance_uuids: list[str]) -> None:
        """Tell that ``host`` has nothing any more of instances that were evacuated from it."""
        self._bus.call(TOPIC, "report_left", host=host, instance_uuids=instance_uuids)

    def hypervisor_silent(self, host: str, ip: str, reason: Payload) -> None:
        """Tell that ``host`` does not reach its hypervisor, and why, for those who listen. May be lost."""
        self._bus.nudge(TOPIC, "hypervisor_silent", host=host, ip=ip, reason=reason)

    def report_guests(self, host: str, guests: list[Guest]) -> None:
        """Tell the power states of guests found in another one than recorded."""
        self._bus.call(TOPIC, "report_guests", host=host, guests=_plain(guests))


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value)
