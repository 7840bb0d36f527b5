"""What is asked of the scheduler, and what it answers."""

from dataclasses import dataclass, field

from nova_lite.model.flavor import Flavor, rootless
from nova_lite.model.plain import known


@known
@dataclass(frozen=True, slots=True)
class RequestSpec:
    """What one request of one or many equal servers needs.

    ``wanted_host`` and ``wanted_node`` are the only ones that may be chosen. ``skips_filters`` (an administrator asked
    by ``availability_zone=zone:host:node``) takes them as they are, disabled or silent; the claim is never skipped.
    Of a server that moves, ``within_cell`` is the only cell it may stay in, and it is ``not_on`` these hosts.
    ``hints`` are the scheduler hints as sent; ``group`` is the server group among them. ``shares_volumes``: it has
    volumes that other servers may have, too.
    """

    project_id: str
    user_id: str
    flavor: Flavor
    image_id: str
    image_properties: dict[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    wanted_host: str | None = None
    wanted_node: str | None = None
    skips_filters: bool = False
    hints: dict[str, object] = field(default_factory=dict)
    group: str | None = None
    image_disk_format: str | None = None
    within_cell: str | None = None
    not_on: tuple[str, ...] = ()
    boots_from_volume: bool = False
    shares_volumes: bool = False

    @property
    def claimed_flavor(self) -> Flavor:
        """Return the flavor as far as a host must give it: a root disk that is a volume is somewhere else."""
        return rootless(self.flavor) if self.boots_from_volume else self.flavor


@dataclass(frozen=True, slots=True)
class Selection:
    """A host chosen for an instance; ``allocations`` is what it takes in Placement: provider UUID → class → amount."""

    host: str
    node: str
    node_name: str
    cell_id: str
    availability_zone: str
    allocations: dict[str, dict[str, int]] = field(default_factory=dict)


@known
@dataclass(frozen=True, slots=True)
class Placed:
    """The scheduler's answer for one instance: the claimed host first, then unclaimed alternates in its cell.

    ``explanation`` (``model/explanation.py``) is how the choice came about.
    """

    instance_uuid: str
    selections: tuple[Selection, ...]
    explanation: dict[str, object] = field(default_factory=dict)


@known
@dataclass(frozen=True, slots=True)
class Decision:
    """What the scheduler decided for all servers of a request: a place for each, or a ``refusal``, for users.

    ``explanation`` is why it refused.
    """

    placed: tuple[Placed, ...] = ()
    refusal: str | None = None
    explanation: dict[str, object] = field(default_factory=dict)
