"""A server's move: to another host, or to another size, or both. It outlives the move, as a record of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nova_lite.model.flavor import Flavor
from nova_lite.model.plain import known


class MigrationKind(StrEnum):
    """What moves a server; clients know them by these words."""

    COLD = "migration"
    RESIZE = "resize"
    LIVE = "live-migration"
    EVACUATION = "evacuation"


#: Statuses of a live migration that clients may watch, force or abort.
LIVE_IN_PROGRESS = ("queued", "preparing", "running", "post-migrating")
#: Statuses of one that keeps its source host busy: there may be but so many of them at once.
LIVE_AT_WORK = ("preparing", "running", "post-migrating")
#: The status of one that waits to be confirmed or reverted.
FINISHED = "finished"
#: The status of one that is being confirmed: there is no way back any more.
CONFIRMING = "confirming"
#: The status of an evacuation whose old host has not cleaned up yet: over for its server, which is elsewhere.
DONE = "done"
#: Statuses of a migration that is over, however it ended; one that waits to be confirmed is not.
OVER = ("completed", "done", "confirmed", "reverted", "cancelled", "failed", "error")


@dataclass(frozen=True, slots=True)
class Place:
    """A host with its compute node: the node's UUID and the name of its hypervisor."""

    host: str
    node: str
    node_name: str


@known
@dataclass(frozen=True, slots=True)
class Asked:
    """What users ask of a live migration that is under way: ``abort`` or ``hurry``, and by which requests."""

    abort: str | None = None
    hurry: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a live migration is, in bytes; None is not known yet."""

    memory_total: int | None = None
    memory_processed: int | None = None
    memory_remaining: int | None = None
    disk_total: int | None = None
    disk_processed: int | None = None
    disk_remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Migration:
    """One move. Times are naive UTC.

    ``number`` counts in its cell; None before it is recorded. The numbers of the flavors are those in the API database,
    which clients see instead of the flavors. ``dest`` is None until a host is chosen.
    """

    uuid: str
    instance_uuid: str
    kind: MigrationKind
    status: str
    user_id: str
    project_id: str
    source: Place
    old_flavor: Flavor
    new_flavor: Flavor
    created_at: datetime
    updated_at: datetime | None = None
    dest: Place | None = None
    dest_ip: str | None = None
    old_flavor_number: int | None = None
    new_flavor_number: int | None = None
    progress: Progress = Progress()
    asked: Asked = Asked()
    is_hidden: bool = False
    number: int | None = None

    @property
    def is_live_in_progress(self) -> bool:
        return self.kind is MigrationKind.LIVE and self.status in LIVE_IN_PROGRESS
