"""What an audit saw of a cloud: rows of its databases, claims in Placement, guests on hosts. Values, no I/O."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nova_lite.model.block_device import BlockDevice
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import Guest
from nova_lite.model.migration import OVER
from nova_lite.model.states import TaskState
from nova_lite.model.volume import Attachment, Volume


@dataclass(frozen=True, slots=True)
class SeenServer:
    """A live row of an instance, and the cell that has it."""

    uuid: str
    cell: str
    project_id: str
    user_id: str
    vm_state: str
    task_state: str | None
    host: str | None
    node: str | None
    epoch: int
    flavor: Flavor
    image_properties: Mapping[str, str]
    has_launched: bool
    updated_at: datetime
    volumes: tuple[BlockDevice, ...] = ()

    @property
    def is_unborn(self) -> bool:
        """Return whether it is what scheduling writes down before users see the server in that cell."""
        return self.task_state == TaskState.SCHEDULING and not self.has_launched


@dataclass(frozen=True, slots=True)
class SeenMapping:
    """Which cell the API database says an instance is in, and what it counts for."""

    uuid: str
    cell: str | None
    is_queued_for_delete: bool
    vcpus: int
    ram_mib: int


@dataclass(frozen=True, slots=True)
class SeenMove:
    """A migration that is not over, or that still holds something."""

    uuid: str
    instance_uuid: str
    cell: str
    kind: str
    status: str
    project_id: str
    user_id: str
    source_host: str
    source_node: str
    dest_host: str | None
    dest_node: str | None
    old_flavor: Flavor
    new_flavor: Flavor
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SeenWork:
    """An open workflow, of a cell or (None) above the cells; ``subjects`` are all that it is about.

    ``idle_s`` is how long nobody has had its lease, ``late_s`` how long ago its deadline was; both may be negative.
    """

    uuid: str
    kind: str
    subjects: tuple[str, ...]
    cell: str | None
    status: str
    step: int
    idle_s: float
    late_s: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SeenMember:
    """A server's place in a server group."""

    uuid: str
    group: str
    host: str | None
    spares: tuple[str, ...] | None
    way_back: str | None


@dataclass(frozen=True, slots=True)
class SeenHost:
    """What a host said that it has: its guests, and of which guests something was set aside."""

    host: str
    cell: str
    guests: tuple[Guest, ...]
    asides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeenClaim:
    """What a consumer holds: provider → class → amount. Whose it is and the generation are known of suspects only."""

    consumer: str
    held: Mapping[str, Mapping[str, int]]


@dataclass
class Seen:
    """Everything one look saw. ``cells`` are those that answered, ``silent`` the others and why, by UUID.

    ``unknown`` are hosts that did not say what they have, and why. ``dead`` are the cells in which a mapped instance
    is deleted. ``busy`` is whatever unfinished work is about: it is not judged. None stands for what was not looked at.
    """

    cells: set[str] = field(default_factory=set)
    silent: dict[str, str] = field(default_factory=dict)
    servers: dict[str, list[SeenServer]] = field(default_factory=lambda: defaultdict(list))
    mappings: dict[str, SeenMapping] = field(default_factory=dict)
    dead: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    build_requests: set[str] = field(default_factory=set)
    failed_builds: set[str] = field(default_factory=set)
    lone_specs: set[str] = field(default_factory=set)
    members: dict[str, SeenMember] = field(default_factory=dict)
    moves: dict[str, SeenMove] = field(default_factory=dict)
    works: list[SeenWork] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    host_mappings: dict[str, str] = field(default_factory=dict)
    #: Host → the cells in which a service or a hypervisor of it is registered.
    registered: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    claims: dict[str, SeenClaim] | None = None
    #: Provider → the root of its tree, whose UUID is that of the compute node.
    roots: dict[str, str] = field(default_factory=dict)
    hosts: dict[str, SeenHost] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    #: Every attachment of a volume to a server, by its id, and the volumes that are being detached.
    attachments: dict[str, Attachment] | None = None
    detaching: tuple[Volume, ...] = ()
    #: Why volumes were not looked at, though servers have some.
    volumes_unknown: str | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether every cell answered, so that what was not found is nowhere."""
        return not self.silent

    def moves_of(self, instance_uuid: str) -> list[SeenMove]:
        """Return an instance's moves that are not over."""
        return self._moves_by_instance().get(instance_uuid, [])

    def _moves_by_instance(self) -> dict[str, list[SeenMove]]:
        if self._by_instance is None:
            self._by_instance = defaultdict(list)
            for move in self.moves.values():
                if move.status in OVER:
                    continue
                self._by_instance[move.instance_uuid].append(move)
        return self._by_instance

    _by_instance: dict[str, list[SeenMove]] | None = None

    def at_rest(self, uuid: str) -> SeenServer | None:
        """Return a server that lives in one cell only, with nothing being done to it."""
        rows = self.servers.get(uuid, [])
        if len(rows) != 1 or uuid in self.busy or rows[0].task_state is not None:
            return None
        return rows[0]
