"""Which of the hosts that can take a request should: pure. Higher weighs more; each weigher is scaled to 0…1."""

from collections.abc import Callable, Sequence

from nova_lite.model.host import HostState

Weigher = Callable[[HostState], float]

#: Name → what is weighed and how much it counts. Memory first, so that servers spread.
WEIGHERS: dict[str, tuple[Weigher, float]] = {
    "RAM": (lambda host: host.free_ram_mib, 1.0),
    "CPU": (lambda host: host.free_vcpus, 1.0),
    "Disk": (lambda host: host.free_disk_gib, 1.0),
    "Building": (lambda host: -float(host.building), 1.0),
}


def weigh(hosts: Sequence[HostState]) -> list[tuple[HostState, float]]:
    """Return hosts with their weights, heaviest first; equal ones keep their order."""
    totals = [0.0] * len(hosts)
    for weigher, multiplier in WEIGHERS.values():
        values = [weigher(host) for host in hosts]
        low, high = min(values, default=0.0), max(values, default=0.0)
        if high > low:
            for index, value in enumerate(values):
                totals[index] += multiplier * (value - low) / (high - low)
    return sorted(zip(hosts, totals, strict=True), key=lambda pair: -pair[1])
