"""Messages to a compute agent, on its cell's bus: those of a guest's life here, the others by their nouns beside it."""

from collections.abc import Sequence

import msgspec

from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import Guest, PowerState, RescueDevice
from nova_lite.model.instance import Instance
from nova_lite.rpc import compute_calls
from nova_lite.rpc.compute_images import ImageCalls
from nova_lite.rpc.compute_insight import InsightCalls
from nova_lite.rpc.compute_moves import MoveCalls
from nova_lite.rpc.compute_volumes import VolumeCalls

TOPIC = compute_calls.TOPIC


class ComputeClient(MoveCalls, VolumeCalls, InsightCalls, ImageCalls):
    """What an agent can be told to do. Each is safe to say twice; each answers when it is done."""

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

    def unshelve(self, instance: Instance, *, timeout_s: float) -> PowerState:
        """Make and start the guest on ``instance.host`` from the image of its disk; raises as ``build``."""
        wanted = msgspec.to_builtins(instance)
        return PowerState(self._bus.call(TOPIC, "unshelve", server=instance.host, long_s=timeout_s, instance=wanted))

    def contents(self, host: str, *, timeout_s: float) -> tuple[list[Guest], list[str]]:
        """Return the guests of a host, running or not, and of which guests something was set aside there."""
        answer = self._bus.call(TOPIC, "contents", server=host, long_s=timeout_s)
        return msgspec.convert(answer["guests"], list[Guest]), list(answer["asides"])

    def uptime(self, host: str, *, timeout_s: float) -> str:
        """Return how long the host is up and how busy it is, as its ``uptime`` says."""
        return str(self._bus.call(TOPIC, "uptime", server=host, long_s=timeout_s))
