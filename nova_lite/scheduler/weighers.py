"""Which of the hosts that can take a request should: pure. Higher weighs more; each weigher is scaled to 0…1.

How much each counts is configured; aggregates may say otherwise for their hosts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from nova_lite.model.host import HostState
from nova_lite.model.server_group import SOFT_AFFINITY, SOFT_ANTI_AFFINITY
from nova_lite.scheduler.filters import Options, Sought

Column = npt.NDArray[np.float64]
Weigher = Callable[[HostState, Sought], float]


class Told:
    """Weighs what hosts tell, at most ``most`` of it; with ``sign`` -1.0, less weighs more."""

    def __init__(self, attribute: str, *, sign: float = 1.0, most: float = math.inf) -> None:
        self._read = attrgetter(attribute)
        self._sign = sign
        self._most = most

    def __call__(self, host: HostState, sought: Sought) -> float:
        # Nothing is 0, not -0.
        return self._sign * min(float(self._read(host)), self._most) + 0.0

    def column(self, hosts: Sequence[HostState], sought: Sought) -> Column | None:
        """Return the same of many hosts at once."""
        told = np.fromiter(map(self._read, hosts), np.float64, len(hosts))
        return self._sign * np.minimum(told, self._most)


class Company:
    """Weighs how many servers of the group are on a host, where the group has this ``policy``."""

    def __init__(self, policy: str, *, sign: float = 1.0) -> None:
        self._policy = policy
        self._sign = sign

    def __call__(self, host: HostState, sought: Sought) -> float:
        company = sought.company
        there = company.hosts.get(host.host, 0) if company and company.policy == self._policy else 0
        return self._sign * there + 0.0

    def column(self, hosts: Sequence[HostState], sought: Sought) -> Column | None:
        """Return the same of many hosts at once; None where it tells none apart."""
        if sought.company is None or sought.company.policy != self._policy:
            return None
        there = sought.company.hosts
        return self._sign * np.fromiter((there.get(host.host, 0) for host in hosts), np.float64, len(hosts))


class Own:
    """Weighs by a function that another package brings."""

    def __init__(self, weigher: Weigher) -> None:
        self._weigher = weigher

    def __call__(self, host: HostState, sought: Sought) -> float:
        return float(self._weigher(host, sought))

    def column(self, hosts: Sequence[HostState], sought: Sought) -> Column | None:
        """Return the same of many hosts at once."""
        return np.fromiter((self._weigher(host, sought) for host in hosts), np.float64, len(hosts))


#: Name → what is weighed. How much each counts is configured: ``[filter_scheduler] <name>_weight_multiplier``.
WEIGHERS: Mapping[str, Told | Company | Own] = {
    "ram": Told("free_ram_mib"),
    "cpu": Told("free_vcpus"),
    "disk": Told("free_disk_gib"),
    "io_ops": Told("building"),
    "num_instances": Told("num_instances"),
    "hypervisor_version": Told("hypervisor.version"),
    "image_props": Told("likeness"),
    "pci": Told("free_devices", sign=-1.0, most=99),
    "soft_affinity": Company(SOFT_AFFINITY),
    "soft_anti_affinity": Company(SOFT_ANTI_AFFINITY, sign=-1.0),
    "build_failure": Told("failed_builds", sign=-1.0),
}


def multipliers(options: Options) -> dict[str, float]:
    """Return weigher → how much it counts, as ``[filter_scheduler]`` says."""
    return {name: options[option_of(name)] for name in WEIGHERS}


def weigh(
    hosts: Sequence[HostState],
    sought: Sought,
    multipliers: Mapping[str, float],
    weighers: Mapping[str, Told | Company | Own] = WEIGHERS,
) -> list[tuple[HostState, float]]:
    """Return hosts with their weights, heaviest first; equal ones keep their order."""
    totals = np.zeros(len(hosts))
    numbers = [host.aggregate_numbers for host in hosts]
    by_aggregate = {name for each in numbers if each for name in each}
    for name, multiplier in multipliers.items():
        option = option_of(name)
        if not hosts or (not multiplier and option not in by_aggregate):
            continue
        column = weighers[name].column(hosts, sought)
        if column is None:
            continue
        low, high = column.min(), column.max()
        if high > low and math.isfinite(high - low):
            counts: float | Column = multiplier
            if option in by_aggregate:
                counts = np.fromiter((each.get(option, multiplier) for each in numbers), np.float64, len(hosts))
            totals += counts * (column - low) / (high - low)
    order = np.argsort(-totals, kind="stable").tolist()
    weights = totals.tolist()
    return [(hosts[index], weights[index]) for index in order]


def option_of(name: str) -> str:
    """Return what the multiplier of a weigher is called, in ``[filter_scheduler]`` and in metadata of aggregates."""
    return f"{name}_weight_multiplier"
