"""The clouds that are measured, described: which providers, with what, below whom. Pure and the same in every run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5

#: The trait that a fifth of the hosts of the flat cloud have, and the class of the wide cloud's children.
TRAIT = "CUSTOM_X"
ACCELERATOR = "CUSTOM_ACCELERATOR"
#: A host of the flat cloud is in one of so many aggregates.
ZONES = 10
#: Hosts that share one pool of disks in the sharing cloud.
RACK = 20

Inventory = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider; ``level`` is how many ancestors it has."""

    name: str
    inventories: Mapping[str, Inventory]
    parent: str | None = None
    traits: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()
    level: int = 0

    @property
    def uuid(self) -> str:
        return uuid_of(self.name)


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud by name; ``names`` are the traits and resource classes that it adds to the standard ones."""

    name: str
    providers: tuple[Provider, ...]
    traits: tuple[str, ...] = ()
    classes: tuple[str, ...] = field(default=())


def uuid_of(name: str) -> str:
    """Return the UUID of whatever has that name in a measured cloud."""
    return str(uuid5(NAMESPACE_URL, f"benchmark:{name}"))


def _inventory(total: int, ratio: float = 1.0) -> Inventory:
    return {"total": total, "max_unit": total, "allocation_ratio": ratio}


def host(number: int) -> Provider:
    """Return one host of the flat cloud."""
    traits = (("HW_CPU_X86_AVX2",) if number % 2 == 0 else ()) + ((TRAIT,) if number % 5 == 0 else ())
    return Provider(
        f"host-{number}",
        {"VCPU": _inventory(64, 16.0), "MEMORY_MB": _inventory(512 * 1024), "DISK_GB": _inventory(4000)},
        traits=("COMPUTE_NODE", *traits),
        aggregates=(uuid_of(f"zone-{number // 5 % ZONES}"),),
    )


def flat(first: int, last: int) -> Cloud:
    """Return hosts ``first`` to ``last`` (not counted): single providers in zones, a fifth of them with ``TRAIT``."""
    return Cloud("flat", tuple(host(number) for number in range(first, last)), traits=(TRAIT,))


def nested(trees: int) -> Cloud:
    """Return trees of five: a root with disk, two NUMA nodes with CPUs and memory, a network card below each."""
    return Cloud("nested", tuple(part for number in range(trees) for part in _numa_host(number)))


def _numa_host(number: int) -> Iterator[Provider]:
    root = f"numa-host-{number}"
    yield Provider(root, {"DISK_GB": _inventory(2000)}, traits=("COMPUTE_NODE",))
    for side in range(2):
        node, card = f"{root}-node-{side}", f"{root}-card-{side}"
        cpus = {"VCPU": _inventory(32, 4.0), "MEMORY_MB": _inventory(256 * 1024)}
        yield Provider(node, cpus, root, traits=("HW_NUMA_ROOT",), level=1)
        functions = {"SRIOV_NET_VF": _inventory(64)}
        yield Provider(card, functions, node, traits=("HW_NIC_ACCEL_SSL" if side else "HW_NIC_SRIOV",), level=2)


def sharing(hosts: int) -> Cloud:
    """Return hosts without disk of their own; each rack of them shares one pool of disks."""
    providers = [
        Provider(
            f"diskless-{number}",
            {"VCPU": _inventory(64, 16.0), "MEMORY_MB": _inventory(512 * 1024)},
            aggregates=(uuid_of(f"rack-{number // RACK}"),),
        )
        for number in range(hosts)
    ]
    providers += [
        Provider(
            f"pool-{rack}",
            {"DISK_GB": _inventory(100_000)},
            traits=("MISC_SHARES_VIA_AGGREGATE",),
            aggregates=(uuid_of(f"rack-{rack}"),),
        )
        for rack in range(-(-hosts // RACK))
    ]
    return Cloud("sharing", tuple(providers))


def wide(children: int) -> Cloud:
    """Return one tree: a root with CPUs and ``children`` that each have accelerators."""
    root = Provider("wide", {"VCPU": _inventory(64, 16.0), "MEMORY_MB": _inventory(512 * 1024)})
    below = [Provider(f"wide-{number}", {ACCELERATOR: _inventory(8)}, root.name, level=1) for number in range(children)]
    return Cloud("wide", (root, *below), classes=(ACCELERATOR,))


def hot(hosts: int) -> Cloud:
    """Return few hosts with room for more claims than any run makes."""
    room = {"VCPU": 1_000_000, "MEMORY_MB": 1_000_000_000, "DISK_GB": 1_000_000_000}
    inventories = {name: _inventory(total) for name, total in room.items()}
    return Cloud("hot", tuple(Provider(f"hot-{number}", inventories) for number in range(hosts)))


def small(hosts: int, cpus: int) -> Cloud:
    """Return few hosts that are full after ``cpus`` claims of one CPU each."""
    inventories = {"VCPU": _inventory(cpus), "MEMORY_MB": _inventory(cpus * 1024), "DISK_GB": _inventory(cpus * 10)}
    return Cloud("small", tuple(Provider(f"small-{number}", inventories) for number in range(hosts)))
