"""Hosts and the services on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Service:
    """A process that reports to its cell. ``is_up`` is decided where the row is read, by the cell database's clock.

    ``number`` is unique in its cell only.
    """

    uuid: str
    host: str
    binary: str
    is_disabled: bool
    disabled_reason: str | None
    is_forced_down: bool
    is_up: bool
    created_at: datetime
    updated_at: datetime | None
    version: int = 1
    number: int = 0


@dataclass(frozen=True, slots=True)
class AgentState:
    """Of a host's agent what shows with its servers."""

    is_disabled: bool
    is_forced_down: bool
    is_up: bool


@dataclass(frozen=True, slots=True)
class ComputeNode:
    """A hypervisor: its totals and what its servers use now; memory in MiB, disk in GiB.

    ``busy_vms`` are those that something is being done to. ``number`` is unique in its cell only.
    """

    uuid: str
    host: str
    hypervisor_hostname: str
    hypervisor_type: str
    hypervisor_version: int
    host_ip: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    cpu_info: dict[str, object] = field(default_factory=dict)
    vcpus_used: int = 0
    ram_mib_used: int = 0
    disk_gib_used: int = 0
    running_vms: int = 0
    uptime: str | None = None
    busy_vms: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """What a host told of its hypervisor; changes with the machine only. Memory in MiB, disk in GiB.

    ``runs`` are the kinds of guests it can run: architecture, hypervisor type and virtual machine mode of each; None
    where that was never told.
    """

    kind: str = ""
    version: int = 0
    vcpus: int = 0
    ram_mib: int = 0
    disk_gib: int = 0
    cpu_info: Mapping[str, object] = field(default_factory=dict)
    runs: tuple[tuple[str, str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What changes with every boot: servers on a host, and those whose disks are made, copied or moved there now."""

    servers: int = 0
    busy: int = 0


@dataclass(frozen=True)
class HostState:
    """A host as the scheduler weighs it; ``cell_id`` says which cell it serves.

    ``failed_builds`` are those that failed there lately, one after the other; ``aggregates`` the metadata of those it
    is in, ``aggregate_numbers`` the smallest of each number in there. ``free_devices`` are PCI devices.
    What changes with every boot is read where something asks for it: ``building`` (servers whose disks are made, copied
    or moved there now), ``num_instances`` and ``likeness`` (how much its servers' images are like the one asked for).
    """

    cell_id: str
    host: str
    node: str
    node_name: str
    is_up: bool
    is_disabled: bool
    disabled_reason: str | None = None
    availability_zone: str = "nova"
    free_vcpus: float = 0.0
    free_ram_mib: float = 0.0
    free_disk_gib: float = 0.0
    building: int = 0
    failed_builds: int = 0
    host_ip: str = ""
    aggregates: tuple[Mapping[str, str], ...] = ()
    aggregate_numbers: Mapping[str, float] = field(default_factory=dict)
    hypervisor: Hypervisor = Hypervisor()
    num_instances: int = 0
    likeness: float = 0.0
    free_devices: float = 0.0

    def but(self, **values: object) -> "HostState":
        """Return a copy with other values: what ``dataclasses.replace`` does, ten times as fast."""
        copy = object.__new__(HostState)
        copy.__dict__.update(self.__dict__, **values)
        return copy


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell mapping: where a cell's database and bus are. ``transport_url`` of cell0 is ``none:///``."""

    uuid: str
    name: str | None
    transport_url: str
    database_connection: str
    is_disabled: bool = False

    @property
    def is_cell0(self) -> bool:
        return self.uuid == CELL0_UUID


#: cell0 holds servers that no host could take; it has no hosts and no bus.
CELL0_UUID = "00000000-0000-0000-0000-000000000000"
