"""A server, inside called an instance, and what hangs on it."""

from dataclasses import dataclass, field
from datetime import datetime

from nova_lite.model.block_device import BlockDevice, root_of
from nova_lite.model.flavor import Flavor, rootless
from nova_lite.model.guest import PowerState
from nova_lite.model.plain import known
from nova_lite.model.states import TaskState, VmState


@known
@dataclass(frozen=True, slots=True)
class Fault:
    """Why a server is in ERROR; ``details`` is for administrators."""

    code: int
    message: str
    created_at: datetime
    details: str = ""


@known
@dataclass(frozen=True, slots=True)
class InjectedFile:
    """A file its user puts into a server; ``contents`` is base64. No host ever has a file at ``path``."""

    path: str
    contents: str


@known
@dataclass(frozen=True, slots=True)
class Instance:
    """One server. Times are naive UTC.

    ``epoch`` is the fence that a move raises. ``node`` is the compute node's UUID, its provider in Placement too.
    Before a cell is chosen an instance lives in its build request, with ``host`` None. ``shelved_image`` has the
    disk of one that is shelved. ``boot_roles`` are the roles its user had, with commas between them.
    """

    uuid: str
    project_id: str
    user_id: str
    display_name: str
    hostname: str
    vm_state: VmState
    task_state: TaskState | None
    flavor: Flavor
    image_id: str
    created_at: datetime
    updated_at: datetime
    power_state: PowerState = PowerState.NOSTATE
    host: str | None = None
    node: str | None = None
    node_name: str | None = None
    epoch: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    image_properties: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    key_name: str | None = None
    key_data: str | None = None
    user_data: str | None = None
    has_config_drive: bool = False
    availability_zone: str | None = None
    requested_zone: str | None = None
    launch_index: int = 0
    reservation_id: str = ""
    root_device_name: str = "/dev/vda"
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    disk_config: str = "MANUAL"
    is_locked: bool = False
    locked_reason: str | None = None
    tags: tuple[str, ...] = ()
    scheduling: dict[str, object] = field(default_factory=dict)
    launched_at: datetime | None = None
    terminated_at: datetime | None = None
    deleted_at: datetime | None = None
    fault: Fault | None = None
    shelved_image: str | None = None
    volumes: tuple[BlockDevice, ...] = ()
    personality: tuple[InjectedFile, ...] = ()
    boot_roles: str | None = None

    @property
    def is_deleted(self) -> bool:
        return self.vm_state is VmState.DELETED

    @property
    def boots_from_volume(self) -> bool:
        return root_of(self.volumes) is not None

    @property
    def shares_volumes(self) -> bool:
        return any(device.is_multiattach for device in self.volumes)

    @property
    def claimed_flavor(self) -> Flavor:
        """Return the flavor as far as a host must give it: a root disk that is a volume is somewhere else."""
        return rootless(self.flavor) if self.boots_from_volume else self.flavor
