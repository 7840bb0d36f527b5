"""How a running guest fares: counters from its hypervisor, for operators. None is what that does not tell."""

from dataclasses import dataclass, field

from nova_lite.model.plain import known


@known
@dataclass(frozen=True, slots=True)
class CpuCounters:
    """One virtual processor: how long it ran, in ns."""

    number: int
    time_ns: int | None = None
    utilisation: int | None = None


@known
@dataclass(frozen=True, slots=True)
class NicCounters:
    """One network interface; ``device`` is its name on the host."""

    device: str
    mac: str
    rx_bytes: int | None = None
    rx_packets: int | None = None
    rx_errors: int | None = None
    rx_drop: int | None = None
    tx_bytes: int | None = None
    tx_packets: int | None = None
    tx_errors: int | None = None
    tx_drop: int | None = None


@known
@dataclass(frozen=True, slots=True)
class DiskCounters:
    """One disk; ``device`` is its name in the guest's definition."""

    device: str
    read_bytes: int | None = None
    read_requests: int | None = None
    write_bytes: int | None = None
    write_requests: int | None = None
    errors: int | None = None


@known
@dataclass(frozen=True, slots=True)
class Diagnostics:
    """One running guest. ``memory_kib`` is what its hypervisor tells of its memory, by its own words."""

    driver: str
    hypervisor: str
    hypervisor_os: str
    memory_max_kib: int
    memory_used_kib: int
    cpus: tuple[CpuCounters, ...] = ()
    nics: tuple[NicCounters, ...] = ()
    disks: tuple[DiskCounters, ...] = ()
    memory_kib: dict[str, int] = field(default_factory=dict)
