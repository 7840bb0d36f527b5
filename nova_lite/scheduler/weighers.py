"""Which of the hosts that can take a request should: pure. Higher weighs more; each weigher is scaled to 0…1.

How much each counts is configured; aggregates may say otherwise for their hosts.
"""

from collections.abc import Callable, Mapping, Sequence

from nova_lite.model.host import HostState
from nova_lite.model.server_group import SOFT_AFFINITY, SOFT_ANTI_AFFINITY
from nova_lite.scheduler.filters import Options, Sought

Weigher = Callable[[HostState, Sought], float]


def _together(host: HostState, sought: Sought) -> float:
    company = sought.company
    return float(company.hosts.get(host.host, 0)) if company and company.policy == SOFT_AFFINITY else 0.0


def _apart(host: HostState, sought: Sought) -> float:
    company = sought.company
    return 0.0 - company.hosts.get(host.host, 0) if company and company.policy == SOFT_ANTI_AFFINITY else 0.0


#: Free PCI devices that are told apart.
_MOST_DEVICES = 99

#: Name → what is weighed. How much each counts is configured: ``[filter_scheduler] <name>_weight_multiplier``.
WEIGHERS: dict[str, Weigher] = {
    "ram": lambda host, _: host.free_ram_mib,
    "cpu": lambda host, _: host.free_vcpus,
    "disk": lambda host, _: host.free_disk_gib,
    "io_ops": lambda host, _: float(host.building),
    "num_instances": lambda host, _: float(host.num_instances),
    "hypervisor_version": lambda host, _: float(host.hypervisor.version),
    "image_props": lambda host, _: host.likeness,
    "pci": lambda host, _: 0.0 - min(host.free_devices, _MOST_DEVICES),
    "soft_affinity": _together,
    "soft_anti_affinity": _apart,
    "build_failure": lambda host, _: 0.0 - host.failed_builds,
}


def multipliers(options: Options) -> dict[str, float]:
    """Return weigher → how much it counts, as ``[filter_scheduler]`` says."""
    return {name: options[_option(name)] for name in WEIGHERS}


def weigh(
    hosts: Sequence[HostState], sought: Sought, multipliers: Mapping[str, float]
) -> list[tuple[HostState, float]]:
    """Return hosts with their weights, heaviest first; equal ones keep their order."""
    totals = [0.0] * len(hosts)
    by_aggregate = {name for host in hosts for name in host.aggregate_numbers}
    for name, multiplier in multipliers.items():
        option = _option(name)
        if not multiplier and option not in by_aggregate:
            continue
        values = [WEIGHERS[name](host, sought) for host in hosts]
        low, high = min(values, default=0.0), max(values, default=0.0)
        if high > low:
            scale = high - low
            for index, value in enumerate(values):
                counts = hosts[index].aggregate_numbers.get(option, multiplier) if by_aggregate else multiplier
                totals[index] += counts * (value - low) / scale
    return sorted(zip(hosts, totals, strict=True), key=lambda pair: -pair[1])


def _option(name: str) -> str:
    return f"{name}_weight_multiplier"
