"""What hosts tell each other about a guest that goes from one to the other while it runs: values, no I/O."""

from dataclasses import dataclass, field
from enum import StrEnum

from nova_lite.model.migration import Progress
from nova_lite.model.plain import known


@known
@dataclass(frozen=True, slots=True)
class Leaving:
    """What a guest's host says of a guest that is to leave it: what the other host must be able to do.

    ``disks_at`` is where its disks are. ``needs`` are what only drivers of the same kind understand: its CPU, say.
    """

    host: str
    hypervisor_type: str
    hypervisor_version: int
    disks_at: str
    needs: dict[str, str] = field(default_factory=dict)


@known
@dataclass(frozen=True, slots=True)
class Landing:
    """Where a guest may come to: how its host reaches the other one, and what the guest is to be there.

    ``address`` is where the other hypervisor is told of it, ``data_address`` where its memory goes. ``disks`` are those
    that are copied with it, source path → path there; none when both hosts see the same. ``volumes`` are its volumes as
    only drivers of the same kind understand them, by their ids, without secrets, ``consoles`` where its consoles listen
    there, by their protocols.
    """

    address: str
    data_address: str
    host: str
    epoch: int
    disks: dict[str, str] = field(default_factory=dict)
    directory: str = ""
    volumes: dict[str, str] = field(default_factory=dict)
    consoles: dict[str, str] = field(default_factory=dict)


class Stage(StrEnum):
    """How far a guest that leaves its host is, as that host sees it."""

    #: It is here, and nothing is under way.
    HERE = "here"
    #: Its memory is being copied; it runs here, or (after copying was turned round) there already.
    LEAVING = "leaving"
    #: It has gone.
    GONE = "gone"
    #: It stands still here, and nobody here knows whether it goes on on the other host.
    UNSETTLED = "unsettled"
    #: It stands still on both hosts, with its memory in pieces: it can go on on neither.
    LOST = "lost"


@known
@dataclass(frozen=True, slots=True)
class Departure:
    """What a guest's host says of its leaving; ``reason`` is why it is still here, when an attempt has failed.

    ``elapsed_s`` is how long the copying takes already.
    """

    stage: Stage
    progress: Progress = field(default_factory=Progress)
    reason: str | None = None
    elapsed_s: float = 0.0


@known
@dataclass(frozen=True, slots=True)
class Patience:
    """How a guest is copied that changes its memory faster than it can be copied: what operators allow.

    A copying that takes longer than ``timeout_s_per_gib`` for each GiB (0: any time) is ended: by an abort, or, with
    ``forces``, by force. ``bandwidth_mib_s`` of 0 is as fast as the network goes; ``downtime_ms`` is how long the guest
    may stand still at the end.
    """

    timeout_s_per_gib: int = 800
    forces: bool = False
    bandwidth_mib_s: int = 0
    downtime_ms: int = 500
    may_post_copy: bool = False
    may_slow_down: bool = False
