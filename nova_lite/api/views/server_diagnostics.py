"""How it looks how a server fares: until 2.47 as the hypervisor says it, from 2.48 on alike for all."""

from collections.abc import Iterator

from nova_lite.api.services.server_diagnostics import Found
from nova_lite.web.versions import Version

_ALIKE = Version(2, 48)
_KIB_PER_MIB = 1024


def one(found: Found, version: Version) -> dict[str, object]:
    """Return the document, which has nothing around it."""
    return _alike(found) if version >= _ALIKE else dict(_free(found))


def _free(found: Found) -> Iterator[tuple[str, object]]:
    seen = found.diagnostics
    for cpu in seen.cpus:
        yield f"cpu{cpu.number}_time", cpu.time_ns
    for disk in seen.disks:
        yield f"{disk.device}_read_req", disk.read_requests
        yield f"{disk.device}_read", disk.read_bytes
        yield f"{disk.device}_write_req", disk.write_requests
        yield f"{disk.device}_write", disk.write_bytes
        yield f"{disk.device}_errors", disk.errors
    for nic in seen.nics:
        yield f"{nic.device}_rx", nic.rx_bytes
        yield f"{nic.device}_rx_packets", nic.rx_packets
        yield f"{nic.device}_rx_errors", nic.rx_errors
        yield f"{nic.device}_rx_drop", nic.rx_drop
        yield f"{nic.device}_tx", nic.tx_bytes
        yield f"{nic.device}_tx_packets", nic.tx_packets
        yield f"{nic.device}_tx_errors", nic.tx_errors
        yield f"{nic.device}_tx_drop", nic.tx_drop
    yield "memory", seen.memory_max_kib
    for name, amount in seen.memory_kib.items():
        yield f"memory-{name}", amount


def _alike(found: Found) -> dict[str, object]:
    seen = found.diagnostics
    return {
        "state": "running",
        "driver": seen.driver,
        "hypervisor": seen.hypervisor,
        "hypervisor_os": seen.hypervisor_os,
        "uptime": found.uptime_s,
        "config_drive": found.has_config_drive,
        "num_cpus": len(seen.cpus),
        "num_nics": len(seen.nics),
        "num_disks": len(seen.disks),
        "disk_details": [
            {
                "read_bytes": disk.read_bytes,
                "read_requests": disk.read_requests,
                "write_bytes": disk.write_bytes,
                "write_requests": disk.write_requests,
                "errors_count": disk.errors,
            }
            for disk in seen.disks
        ],
        "cpu_details": [{"id": cpu.number, "time": cpu.time_ns, "utilisation": cpu.utilisation} for cpu in seen.cpus],
        "nic_details": [
            {
                "mac_address": nic.mac,
                "rx_octets": nic.rx_bytes,
                "rx_errors": nic.rx_errors,
                "rx_drop": nic.rx_drop,
                "rx_packets": nic.rx_packets,
                "rx_rate": None,
                "tx_octets": nic.tx_bytes,
                "tx_errors": nic.tx_errors,
                "tx_drop": nic.tx_drop,
                "tx_packets": nic.tx_packets,
                "tx_rate": None,
            }
            for nic in seen.nics
        ],
        "memory_details": {
            "maximum": seen.memory_max_kib // _KIB_PER_MIB,
            "used": seen.memory_used_kib // _KIB_PER_MIB,
        },
    }
