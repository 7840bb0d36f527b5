"""What a host offers, as Placement has it: a tree of providers with inventories and traits. Values, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nova_lite.model.guest import HostResources


@dataclass(frozen=True, slots=True)
class Inventory:
    """So much of one class. ``max_unit`` None is all of it.

    ``allocation_ratio`` holds whatever anybody else says; with None the one in Placement stays, and a new inventory
    begins with ``initial_ratio``.
    """

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int | None = None
    step_size: int = 1
    allocation_ratio: float | None = None
    initial_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of a host: the host itself (without ``parent``), or a part of it below the provider of that name.

    Names are unique in the cloud and stay for ever, so those of parts begin with their host's. What of a provider is
    not said here (aggregates, what operators added to it) is not the host's to say.
    """

    name: str
    parent: str | None = None
    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()


def whole_host(resources: HostResources) -> Provider:
    """Return a host as one provider of all it has."""
    totals = {"VCPU": resources.vcpus, "MEMORY_MB": resources.ram_mib, "DISK_GB": resources.disk_gib}
    return Provider(
        name=resources.hypervisor_hostname,
        inventories={name: Inventory(total) for name, total in totals.items() if total > 0},
        traits=resources.traits,
    )
