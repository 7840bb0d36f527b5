"""What requests may ask of a host by name, with the names that flavors and hints have always used: pure.

Not known here, and so never true of a host, are a host's NUMA topology, its metrics and its allocation ratios: those
that placement knows, it is asked for.
"""

from collections.abc import Callable, Mapping, Sequence

from nova_lite.model.host import HostState

#: Name → what it means of a host; memory in MiB, disks in GiB unless the name says otherwise.
FACTS: Mapping[str, Callable[[HostState], object]] = {
    "cell_uuid": lambda host: host.cell_id,
    "cpu_info": lambda host: host.hypervisor.cpu_info,
    "disk_mb_used": lambda host: 1024 * max(0, host.hypervisor.disk_gib - int(host.free_disk_gib)),
    "failed_builds": lambda host: host.failed_builds,
    "free_disk_gb": lambda host: int(host.free_disk_gib),
    "free_disk_mb": lambda host: int(host.free_disk_gib) * 1024,
    "free_ram_mb": lambda host: int(host.free_ram_mib),
    "host": lambda host: host.host,
    "host_ip": lambda host: host.host_ip,
    "hypervisor_hostname": lambda host: host.node_name,
    "hypervisor_type": lambda host: host.hypervisor.kind,
    "hypervisor_version": lambda host: host.hypervisor.version,
    "local_gb": lambda host: host.hypervisor.disk_gib,
    "memory_mb": lambda host: host.hypervisor.ram_mib,
    "nodename": lambda host: host.node_name,
    "num_instances": lambda host: host.num_instances,
    "num_io_ops": lambda host: host.building,
    "running_vms": lambda host: host.num_instances,
    "stats": lambda host: {"num_instances": host.num_instances, "io_workload": host.building},
    "supported_instances": lambda host: [list(each) for each in host.hypervisor.runs or ()],
    "total_usable_disk_gb": lambda host: host.hypervisor.disk_gib,
    "total_usable_ram_mb": lambda host: host.hypervisor.ram_mib,
    "uuid": lambda host: host.node,
    "vcpus": lambda host: host.hypervisor.vcpus,
    "vcpus_total": lambda host: host.hypervisor.vcpus,
}
#: Those that change with every boot.
_LOADS = ("num_instances", "num_io_ops", "running_vms", "stats")


def value(host: HostState, path: Sequence[str]) -> object | None:
    """Return what ``host`` says of a fact, or of a part of one; None when it says nothing."""
    fact = FACTS.get(path[0])
    found = None if fact is None else fact(host)
    for part in path[1:]:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def is_load(text: str) -> bool:
    """Return whether ``text``, a name or whatever has names in it, may ask for what changes with every boot."""
    return any(name in text for name in _LOADS)
