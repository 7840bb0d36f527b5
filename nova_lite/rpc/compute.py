"""Messages to a compute agent, on its cell's bus."""

from collections.abc import Sequence
from typing import Any

import msgspec

from nova_lite.model.block_device import BlockDevice
from nova_lite.model.console import Console
from nova_lite.model.diagnostics import Diagnostics
from nova_lite.model.guest import Guest, PowerState, RescueDevice
from nova_lite.model.instance import Instance
from nova_lite.model.live_migration import Departure, Landing, Leaving
from nova_lite.rpc.bus import Bus

TOPIC = "compute"


class ComputeClient:
    """What an agent can be told to do. Each is safe to say twice; each answers when it is done."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def build(self, instance: Instance, *, timeout_s: float) -> PowerState:
        """Make and start the guest on ``instance.host``.

        Raises GuestFailed for what no other host could do better, HostFailed for what another one might.
        """
        plain = msgspec.to_builtins(instance)
        answer = self._bus.call(TOPIC, "build", server=instance.host, long_s=timeout_s, instance=plain)
        return PowerState(answer)

    def rebuild(self, instance: Instance, *, start: bool, timeout_s: float) -> PowerState:
        """Make the guest anew, with new disks, and start it if it shall run; raises what ``build`` does."""
        plain = msgspec.to_builtins(instance)
        answer = self._bus.call(TOPIC, "rebuild", server=instance.host, long_s=timeout_s, instance=plain, start=start)
        return PowerState(answer)

    def put_in_order(self, host: str, instance_uuid: str, *, timeout_s: float) -> None:
        """Have a host compare one guest with what its cell says of it, and remove or stop it if need be."""
        self._bus.call(TOPIC, "put_in_order", server=host, long_s=timeout_s, instance_uuid=instance_uuid)

    def destroy(self, host: str, instance_uuid: str, volumes: Sequence[BlockDevice] = (), *, timeout_s: float) -> None:
        """Remove the guest and all it left on the host, which forgets its ``volumes``."""
        plain = msgspec.to_builtins(volumes)
        self._bus.call(TOPIC, "destroy", server=host, long_s=timeout_s, instance_uuid=instance_uuid, volumes=plain)

    def power_on(
        self, host: str, instance_uuid: str, epoch: int, volumes: Sequence[BlockDevice] = (), *, timeout_s: float
    ) -> PowerState:
        """Start the guest, with its ``volumes`` as the host reaches them now."""
        plain = msgspec.to_builtins(volumes)
        answer = self._bus.call(
            TOPIC, "power_on", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch, volumes=plain
        )
        return PowerState(answer)

    def power_off(self, host: str, instance_uuid: str, epoch: int, *, timeout_s: float) -> PowerState:
        """Shut the guest down, after the host's grace by cutting its power."""
        return PowerState(
            self._bus.call(TOPIC, "power_off", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch)
        )

    def reboot(
        self,
        host: str,
        instance_uuid: str,
        epoch: int,
        volumes: Sequence[BlockDevice] = (),
        *,
        hard: bool,
        timeout_s: float,
    ) -> PowerState:
        """Reboot the guest; if ``hard``, with its ``volumes`` as the host reaches them now."""
        answer = self._bus.call(
            TOPIC,
            "reboot",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            hard=hard,
            volumes=msgspec.to_builtins(volumes),
        )
        return PowerState(answer)

    def pause(self, host: str, instance_uuid: str, epoch: int, *, timeout_s: float) -> PowerState:
        """Pause the guest."""
        answer = self._bus.call(TOPIC, "pause", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch)
        return PowerState(answer)

    def unpause(self, host: str, instance_uuid: str, epoch: int, *, timeout_s: float) -> PowerState:
        """Let the paused guest run on."""
        return PowerState(
            self._bus.call(TOPIC, "unpause", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch)
        )

    def suspend(self, host: str, instance_uuid: str, epoch: int, *, timeout_s: float) -> PowerState:
        """Save the guest's memory and turn it off."""
        return PowerState(
            self._bus.call(TOPIC, "suspend", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch)
        )

    def resume(self, host: str, instance_uuid: str, epoch: int, *, timeout_s: float) -> PowerState:
        """Let the suspended guest run on."""
        return PowerState(
            self._bus.call(TOPIC, "resume", server=host, long_s=timeout_s, instance_uuid=instance_uuid, epoch=epoch)
        )

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

    def rescue(
        self, instance: Instance, image_id: str, *, device: RescueDevice | None = None, timeout_s: float
    ) -> PowerState:
        """Boot the guest on ``instance.host`` from a fresh disk of the image. Raises GuestFailed, HostFailed."""
        answer = self._bus.call(
            TOPIC,
            "rescue",
            server=instance.host,
            long_s=timeout_s,
            instance=msgspec.to_builtins(instance),
            image_id=image_id,
            device=msgspec.to_builtins(device),
        )
        return PowerState(answer)

    def unrescue(
        self, host: str, instance_uuid: str, epoch: int, *, during: str, start: bool, timeout_s: float
    ) -> PowerState:
        """Give the guest its own disk back, and start it if it is to run; a part of action ``during``."""
        answer = self._bus.call(
            TOPIC,
            "unrescue",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            during=during,
            start=start,
        )
        return PowerState(answer)

    def attach_volume(
        self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float
    ) -> None:
        """Connect a volume and give it to the guest. Raises Conflict, GuestFailed, NotFound."""
        self._bus.call(
            TOPIC,
            "attach_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
        )

    def detach_volume(
        self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float
    ) -> None:
        """Take a volume from the guest and from the host. Raises GuestFailed when the guest keeps it, Conflict."""
        self._bus.call(
            TOPIC,
            "detach_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
        )

    def extend_volume(self, host: str, instance_uuid: str, volume_id: str, size_gib: int, *, timeout_s: float) -> None:
        """Have the guest see that a volume has grown; raises NotFound without the guest."""
        self._bus.call(
            TOPIC,
            "extend_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            volume_id=volume_id,
            size_gib=size_gib,
        )

    def swap_volume(self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float) -> None:
        """Have the running guest go over to a device's next volume. Raises Conflict, GuestFailed, NotFound."""
        self._bus.call(
            TOPIC,
            "swap_volume",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
            timeout_s=timeout_s,
        )

    def swap_volume_back(
        self, host: str, instance_uuid: str, epoch: int, device: BlockDevice, *, timeout_s: float
    ) -> None:
        """Have the guest have a device's volume where it was, and the host forget the next one; raises as the other."""
        self._bus.call(
            TOPIC,
            "swap_volume_back",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            device=msgspec.to_builtins(device),
            timeout_s=timeout_s,
        )

    def connector(self, host: str) -> dict[str, Any]:
        """Return what the block storage service must know of a host to give it volumes."""
        return dict(self._bus.call(TOPIC, "connector", server=host))

    def console_output(self, host: str, instance_uuid: str, lines: int | None) -> str:
        """Return the end of the guest's console log as text."""
        return str(self._bus.call(TOPIC, "console_output", server=host, instance_uuid=instance_uuid, lines=lines))

    def console(self, host: str, instance_uuid: str, kind: str) -> Console:
        """Return where the running guest has a console; raises Invalid when it has none of this kind."""
        answer = self._bus.call(TOPIC, "console", server=host, instance_uuid=instance_uuid, kind=kind)
        return msgspec.convert(answer, Console)

    def diagnostics(self, host: str, instance_uuid: str) -> Diagnostics:
        """Return how the guest fares; raises Conflict when it does not run."""
        answer = self._bus.call(TOPIC, "diagnostics", server=host, instance_uuid=instance_uuid)
        return msgspec.convert(answer, Diagnostics)

    def set_password(self, host: str, instance_uuid: str, user: str, password: str) -> None:
        """Have the agent inside the guest set a password.

        Raises Conflict when the guest does not run or has no agent, Unsupported when its agent does not answer.
        """
        self._bus.call(TOPIC, "set_password", server=host, instance_uuid=instance_uuid, user=user, password=password)

    def freeze(self, host: str, instance_uuid: str, epoch: int, image_id: str) -> None:
        """Have the guest write nothing while an image is made of its volumes.

        Raises Conflict when it does not run, has no agent or the image is not being made any more, Unsupported when
        its agent does not do that.
        """
        self._bus.call(TOPIC, "freeze", server=host, instance_uuid=instance_uuid, epoch=epoch, image_id=image_id)

    def thaw(self, host: str, instance_uuid: str, *, timeout_s: float) -> None:
        """Let a guest go on that was frozen; nothing for one that was not. Raises NotFound when it is not there."""
        self._bus.call(TOPIC, "thaw", server=host, long_s=timeout_s, instance_uuid=instance_uuid)

    def inject_nmi(self, host: str, instance_uuid: str) -> None:
        """Interrupt the guest, so that it dumps its memory; raises Conflict or Unsupported where that cannot be."""
        self._bus.call(TOPIC, "inject_nmi", server=host, instance_uuid=instance_uuid)

    def cache_image(self, host: str, image_id: str, *, timeout_s: float) -> None:
        """Have an image on the host for the servers to come. Raises GuestFailed for one that can never be used."""
        self._bus.call(TOPIC, "cache_image", server=host, long_s=timeout_s, image_id=image_id)

    def snapshot(
        self, host: str, instance_uuid: str, epoch: int, *, action: str, image_id: str, timeout_s: float
    ) -> PowerState:
        """Fill the image that waits for the guest's disk. Raises GuestFailed when it is gone or may not be filled."""
        answer = self._bus.call(
            TOPIC,
            "snapshot",
            server=host,
            long_s=timeout_s,
            instance_uuid=instance_uuid,
            epoch=epoch,
            action=action,
            image_id=image_id,
            timeout_s=timeout_s,
        )
        return PowerState(answer)

    def discard_image(self, host: str, image_id: str, *, even_filled: bool = False, timeout_s: float) -> None:
        """Have a host remove an image that was never filled, or whatever image it is."""
        self._bus.call(
            TOPIC, "discard_image", server=host, long_s=timeout_s, image_id=image_id, even_filled=even_filled
        )

    def unshelve(self, instance: Instance, *, timeout_s: float) -> PowerState:
        """Make and start the guest on ``instance.host`` from the image of its disk; raises as ``build``."""
        wanted = msgspec.to_builtins(instance)
        return PowerState(self._bus.call(TOPIC, "unshelve", server=instance.host, long_s=timeout_s, instance=wanted))

    def rotate_backups(
        self, host: str, uuid: str, *, backup_type: str, keep: int, project_id: str, newest: str, timeout_s: float
    ) -> None:
        """Have a host remove the oldest backups of an instance beyond the ``keep`` newest; ``newest`` is just made."""
        self._bus.call(
            TOPIC,
            "rotate_backups",
            server=host,
            long_s=timeout_s,
            instance_uuid=uuid,
            backup_type=backup_type,
            keep=keep,
            project_id=project_id,
            newest=newest,
        )

    def contents(self, host: str, *, timeout_s: float) -> tuple[list[Guest], list[str]]:
        """Return the guests of a host, running or not, and of which guests something was set aside there."""
        answer = self._bus.call(TOPIC, "contents", server=host, long_s=timeout_s)
        return msgspec.convert(answer["guests"], list[Guest]), list(answer["asides"])

    def uptime(self, host: str, *, timeout_s: float) -> str:
        """Return how long the host is up and how busy it is, as its ``uptime`` says."""
        return str(self._bus.call(TOPIC, "uptime", server=host, long_s=timeout_s))
