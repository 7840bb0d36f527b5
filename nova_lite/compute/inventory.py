"""What a host offers: the driver's facts with what the configuration says of them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from oslo_config import cfg

from nova_lite.model.provider import Inventory, Provider

#: The option of the ratio that always holds, by class; without it ``initial_…`` is where a new inventory begins.
_RATIOS = {
    "VCPU": "cpu_allocation_ratio",
    "MEMORY_MB": "ram_allocation_ratio",
    "DISK_GB": "disk_allocation_ratio",
}
_MIB_PER_GIB = 1024


def offered(providers: Sequence[Provider], conf: cfg.ConfigOpts) -> tuple[Provider, ...]:
    """Return a host's providers with reserves and ratios; without a disk that is a shared pool's.

    Units: VCPU counts, MEMORY_MB in MiB, DISK_GB in GiB. What is reserved of a class is spread over all providers that
    have it, in proportion to what they have.
    """
    reserves = {
        "VCPU": _spread(conf.reserved_host_cpus, providers, "VCPU"),
        "MEMORY_MB": _spread(conf.reserved_host_memory_mb, providers, "MEMORY_MB"),
        "DISK_GB": _spread(-(-conf.reserved_host_disk_mb // _MIB_PER_GIB), providers, "DISK_GB"),
    }
    hidden = {"DISK_GB"} if conf.compute.uses_shared_disk_pool else set[str]()

    def settled(provider: Provider, name: str, inventory: Inventory) -> Inventory:
        if name not in _RATIOS:
            return inventory
        return replace(
            inventory,
            reserved=reserves[name].get(provider.name, 0),
            allocation_ratio=conf[_RATIOS[name]],
            initial_ratio=conf[f"initial_{_RATIOS[name]}"],
        )

    return tuple(
        replace(
            provider,
            inventories={
                name: settled(provider, name, inventory)
                for name, inventory in provider.inventories.items()
                if name not in hidden
            },
        )
        for provider in providers
    )


def _spread(reserved: int, providers: Iterable[Provider], name: str) -> dict[str, int]:
    """Return how much of ``reserved`` each provider keeps back, at most all it has."""
    totals = {provider.name: provider.inventories[name].total for provider in providers if name in provider.inventories}
    left, to_share = min(reserved, sum(totals.values())), sum(totals.values())
    shares: dict[str, int] = {}
    for provider, total in totals.items():
        shares[provider] = -(-left * total // to_share) if to_share else 0
        left, to_share = left - shares[provider], to_share - total
    return shares


def entry(wanted: Inventory, known: Mapping[str, object] | None, moved_ratio: object = None) -> dict[str, object]:
    """Return an inventory as Placement is to have it, which has ``known`` now.

    ``moved_ratio`` is the ratio of the inventory that this one takes the place of, elsewhere in the tree.
    """
    ratio: object = wanted.allocation_ratio
    if ratio is None:
        ratio = (known or {}).get("allocation_ratio", moved_ratio)
    return {
        "total": wanted.total,
        "reserved": wanted.reserved,
        "min_unit": wanted.min_unit,
        "max_unit": wanted.total if wanted.max_unit is None else wanted.max_unit,
        "step_size": wanted.step_size,
        "allocation_ratio": wanted.initial_ratio if ratio is None else ratio,
    }
