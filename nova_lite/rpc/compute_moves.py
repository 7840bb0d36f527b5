"""Messages about guests that go from host to host, off or running."""

from collections.abc import Sequence

import msgspec

from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.live_migration import Departure, Landing, Leaving
from nova_lite.rpc.compute_calls import TOPIC, Calls


class MoveCalls(Calls):
    """What is said when guests go from host to host."""

    def disks_at(self, host: str, instance_uuid: str, *, timeout_s: float) -> str:
        """Return where the guest's disks can be had."""
        return str(self._bus.call(TOPIC, "disks_at", server=host, long_s=timeout_s, instance_uuid=instance_uuid))

    def check_reach(self, host: str, disks_at: str, *, timeout_s: float) -> None:
        """Raise HostFailed when ``host`` cannot have disks that are there."""
        self._bus.call(TOPIC, "check_reach", server=host, long_s=timeout_s, disks_at=disks_at)

    def set_aside(self, host: str, instance_uuid: str, epoch: int, *, timeout_s: float) -> None:
        """Shut the guest down and keep it where nothing starts it."""
        self._bus.call(TOPIC, "set_aside", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch)

    def receive(self, instance: Instance, disks_at: str, *, start: bool, timeout_s: float) -> PowerState:
        """Make the guest on ``instance.host`` of the disks of one that was set aside."""
        plain = msgspec.to_builtins(instance)
        answer = self._bus.call(
            TOPIC, "receive", server=instance.host, long_s=timeout_s, instance=plain, disks_at=disks_at, start=start
        )
        return PowerState(answer)

    def bring_back(
        self,
        host: str,
        instance_uuid: str,
        epoch: int,
        volumes: Sequence[BlockDevice] = (),
        *,
        start: bool,
        timeout_s: float,
    ) -> PowerState:
        """Make what was set aside the guest again, with ``volumes``."""
        answer = self._bus.call(
            TOPIC,
            "bring_back",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            start=start,
            volumes=msgspec.to_builtins(volumes),
        )
        return PowerState(answer)

    def discard(
        self, host: str, instance_uuid: str, epoch: int, volumes: Sequence[BlockDevice] = (), *, timeout_s: float
    ) -> None:
        """Remove the guest unless it is newer than ``epoch``; what was set aside of it stays.

        The host forgets its ``volumes``.
        """
        self._bus.call(
            TOPIC,
            "discard",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            volumes=msgspec.to_builtins(volumes),
        )

    def keep_disks(self, host: str, instance_uuid: str, epoch: int, *, timeout_s: float) -> None:
        """Make the disks of a guest its host's, should another host that sees them have made them."""
        self._bus.call(TOPIC, "keep_disks", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch)

    def sees_disks(self, host: str, instance_uuid: str, *, timeout_s: float) -> bool:
        """Return whether the host sees the disks that another host made for the guest."""
        return bool(self._bus.call(TOPIC, "sees_disks", server=host, long_s=timeout_s, instance_uuid=instance_uuid))

    def drop_aside(
        self, host: str, instance_uuid: str, volumes: Sequence[BlockDevice] = (), *, timeout_s: float
    ) -> None:
        """Remove what was set aside of the guest, unless that may yet come back; the host forgets its ``volumes``."""
        plain = msgspec.to_builtins(volumes)
        self._bus.call(TOPIC, "drop_aside", server=host, long_s=timeout_s, instance_uuid=instance_uuid, volumes=plain)

    def leaving(self, host: str, instance_uuid: str, *, timeout_s: float) -> Leaving:
        """Return what another host must be able to do to take the running guest."""
        answer = self._bus.call(TOPIC, "leaving", server=host, long_s=timeout_s, instance_uuid=instance_uuid)
        return msgspec.convert(answer, Leaving)

    def check_landing(
        self, host: str, instance_uuid: str, leaving: Leaving, *, copies_disks: bool | None, timeout_s: float
    ) -> bool:
        """Return whether the guest's disks are copied to come to ``host``. Raises HostFailed when it cannot come."""
        return bool(
            self._bus.call(
                TOPIC,
                "check_landing",
                server=host,
                long_s=timeout_s,
                instance_uuid=instance_uuid,
                leaving=msgspec.to_builtins(leaving),
                copies_disks=copies_disks,
            )
        )

    def prepare_landing(
        self, instance: Instance, migration: str, leaving: Leaving, *, copies_disks: bool, timeout_s: float
    ) -> Landing:
        """Have ready on ``instance.host`` what the guest needs there. Raises HostFailed, GuestFailed."""
        answer = self._bus.call(
            TOPIC,
            "prepare_landing",
            server=instance.host,
            long_s=timeout_s,
            instance=msgspec.to_builtins(instance),
            migration=migration,
            leaving=msgspec.to_builtins(leaving),
            copies_disks=copies_disks,
        )
        return msgspec.convert(answer, Landing)

    def depart(self, host: str, instance_uuid: str, migration: str, landing: Landing, *, timeout_s: float) -> None:
        """Begin to send the guest; it goes on meanwhile."""
        plain = msgspec.to_builtins(landing)
        self._bus.call(
            TOPIC,
            "depart",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            migration=migration,
            landing=plain,
        )

    def departure(self, host: str, instance_uuid: str, *, wait_s: float) -> Departure:
        """Return how far the guest's leaving is, as soon as it is over or ``wait_s`` have gone."""
        answer = self._bus.call(TOPIC, "departure", server=host, instance_uuid=instance_uuid, wait_s=wait_s)
        return msgspec.convert(answer, Departure)

    def stay(self, host: str, instance_uuid: str, migration: str) -> None:
        """Have the guest stay, if that can be still."""
        self._bus.call(TOPIC, "stay", server=host, instance_uuid=instance_uuid, migration=migration)

    def hurry(self, host: str, instance_uuid: str, migration: str) -> None:
        """Have the guest arrive soon."""
        self._bus.call(TOPIC, "hurry", server=host, instance_uuid=instance_uuid, migration=migration)

    def abandon_landing(
        self,
        host: str,
        instance_uuid: str,
        migration: str,
        epoch: int,
        volumes: Sequence[BlockDevice] = (),
        *,
        timeout_s: float,
    ) -> bool:
        """Have removed what is there of a guest that does not come; True, and nothing is, when it has come whole.

        In the first case the host forgets its ``volumes``.
        """
        answer = self._bus.call(
            TOPIC,
            "abandon_landing",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            migration=migration,
            epoch=epoch,
            volumes=msgspec.to_builtins(volumes),
        )
        return bool(answer)

    def finish_landing(
        self, host: str, instance_uuid: str, migration: str, epoch: int, *, timeout_s: float
    ) -> PowerState:
        """Make the guest, which has come, one of the host."""
        answer = self._bus.call(
            TOPIC,
            "finish_landing",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            migration=migration,
            epoch=epoch,
        )
        return PowerState(answer)

    def clear_departed(
        self, host: str, instance_uuid: str, migration: str, volumes: Sequence[BlockDevice] = (), *, timeout_s: float
    ) -> None:
        """Remove what a guest left that has gone; the host forgets its ``volumes``."""
        self._bus.call(
            TOPIC,
            "clear_departed",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            migration=migration,
            volumes=msgspec.to_builtins(volumes),
        )
