"""What agents and their conductor tell each other about a host."""

from dataclasses import dataclass

from nova_lite.model.guest import HostResources, PowerState
from nova_lite.model.plain import known


@known
@dataclass(frozen=True, slots=True)
class HostReport:
    """A compute host introduces itself: its service and its hypervisor. ``node`` is the compute node's UUID."""

    host: str
    node: str
    resources: HostResources


@known
@dataclass(frozen=True, slots=True)
class ExpectedGuest:
    """An instance that belongs on a host, as its cell knows it; not ``is_settled`` while work on it is under way.

    A guest of one that is neither ``should_run`` nor ``must_be_off`` may be either.
    """

    uuid: str
    epoch: int
    power_state: PowerState
    should_run: bool
    must_be_off: bool
    is_settled: bool
