"""Messages to the scheduler, on the API bus."""

import msgspec

from nova_lite.model.request_spec import Decision, RequestSpec
from nova_lite.rpc.bus import Bus

TOPIC = "scheduler"


class SchedulerClient:
    """What the scheduler can be asked."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def place(self, spec: RequestSpec, instance_uuids: list[str], *, timeout_s: float) -> Decision:
        """Choose and claim a host for each instance, all or none; a claim that another attempt made is kept.

        Raises Unavailable when Placement or the scheduler does not answer.
        """
        answer = self._bus.call(
            TOPIC, "place", long_s=timeout_s, spec=msgspec.to_builtins(spec), instance_uuids=instance_uuids
        )
        return msgspec.convert(answer, Decision)

    def choose(self, spec: RequestSpec, instance_uuid: str, *, timeout_s: float) -> Decision:
        """Choose a host for a server that moves, with alternates, and claim nothing: what it holds is the asker's.

        Raises Unavailable when Placement or the scheduler does not answer.
        """
        answer = self._bus.call(
            TOPIC, "choose", long_s=timeout_s, spec=msgspec.to_builtins(spec), instance_uuid=instance_uuid
        )
        return msgspec.convert(answer, Decision)

    def refusal_to_stay(self, spec: RequestSpec, instance_uuid: str, *, timeout_s: float) -> str | None:
        """Return why a server cannot stay on its host, which ``spec`` wants, with another image; None if it can.

        Raises Unavailable when Placement, the scheduler or the server's cell does not answer.
        """
        answer = self._bus.call(
            TOPIC, "refusal_to_stay", long_s=timeout_s, spec=msgspec.to_builtins(spec), instance_uuid=instance_uuid
        )
        return None if answer is None else str(answer)

    def rehearse(self, spec: RequestSpec, count: int) -> Decision:
        """Choose hosts for ``count`` servers that nobody has asked for, and claim nothing.

        Raises Unavailable when Placement or the scheduler does not answer.
        """
        answer = self._bus.call(TOPIC, "rehearse", spec=msgspec.to_builtins(spec), count=count)
        return msgspec.convert(answer, Decision)
