"""What this host offers, told to Placement: only what changed, and only what is this host's to say."""

import logging
from collections.abc import Mapping

import os_traits
from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.model.guest import HostResources

LOG = logging.getLogger(__name__)

#: Tries at telling, against others who change the provider at the same time.
_MAX_TRIES = 5
#: The ratio by class that the configuration names for hosts first seen; later ones are the operators' to set.
_RATIOS = {
    "VCPU": "initial_cpu_allocation_ratio",
    "MEMORY_MB": "initial_ram_allocation_ratio",
    "DISK_GB": "initial_disk_allocation_ratio",
}

Inventory = dict[str, object]


def wanted(
    resources: HostResources, conf: cfg.ConfigOpts, known: Mapping[str, Mapping[str, object]]
) -> dict[str, Inventory]:
    """Return the inventories of a host by class: its totals and reserves, with the ratios already ``known``.

    Units: VCPU counts, MEMORY_MB in MiB, DISK_GB in GiB.
    """
    reserved_gib = -(-conf.reserved_host_disk_mb // 1024)
    sizes = {
        "VCPU": (resources.vcpus, conf.reserved_host_cpus),
        "MEMORY_MB": (resources.ram_mib, conf.reserved_host_memory_mb),
        "DISK_GB": (resources.disk_gib, reserved_gib),
    }
    return {
        name: {
            "total": total,
            "reserved": min(reserved, total),
            "min_unit": 1,
            "max_unit": total,
            "step_size": 1,
            "allocation_ratio": known.get(name, {}).get("allocation_ratio", conf[_RATIOS[name]]),
        }
        for name, (total, reserved) in sizes.items()
        if total > 0
    }


def tell(placement: PlacementClient, conf: cfg.ConfigOpts, node: str, resources: HostResources) -> None:
    """Bring the host's provider in Placement up to date.

    Traits that an operator set are left alone, and so are ratios. Raises Conflict when Placement knows the host's name
    by another UUID, Unavailable when it does not answer.
    """
    placement.ensure_provider(node, resources.hypervisor_hostname)
    for _ in range(_MAX_TRIES):
        try:
            _tell_inventories(placement, conf, node, resources)
            _tell_traits(placement, node, resources)
        except errors.Conflict:
            LOG.info("The provider %s changed meanwhile; telling again", node)
        else:
            return
    raise errors.Unavailable("Placement's view of this host changes faster than it can be told.")


def _tell_inventories(placement: PlacementClient, conf: cfg.ConfigOpts, node: str, resources: HostResources) -> None:
    known, generation = placement.inventories(node)
    new = wanted(resources, conf, known)
    foreign = {name: entry for name, entry in known.items() if name not in _RATIOS}
    if known != {**foreign, **new}:
        placement.set_inventories(node, {**foreign, **new}, generation)


def _tell_traits(placement: PlacementClient, node: str, resources: HostResources) -> None:
    known, generation = placement.traits(node)
    foreign = {trait for trait in known if not _is_ours(trait)}
    new = foreign | resources.traits
    if new != known:
        placement.set_traits(node, new, generation)


def _is_ours(trait: str) -> bool:
    """Return whether the host decides on ``trait``: what its CPU and driver can do, not what operators say of it."""
    return (
        not os_traits.is_custom(trait) and trait.startswith(("HW_", "COMPUTE_")) and trait != "COMPUTE_STATUS_DISABLED"
    )
