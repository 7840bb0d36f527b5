"""Messages of those who look into running guests, or reach into them."""

import msgspec

from nova_lite.model.console import Console
from nova_lite.model.diagnostics import Diagnostics
from nova_lite.rpc.compute_calls import TOPIC, Calls


class InsightCalls(Calls):
    """What is asked of a running guest, and done inside it."""

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
