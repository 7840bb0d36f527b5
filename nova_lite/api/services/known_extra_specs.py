"""The extra specs whose meaning is known, and which values each can have. Pure.

Names are grouped by namespace, the part before the colon. A namespace listed here admits no other names; one that is
not listed belongs to whoever uses it, and everything goes.
"""

import re
from collections.abc import Callable, Iterable, Mapping

import os_resource_classes
import os_traits

from nova_lite.errors import Invalid

#: Returns what a value should have been, or None when it is fine.
Check = Callable[[str], str | None]

_BOOLEANS = frozenset(("1", "t", "true", "on", "y", "yes", "0", "f", "false", "off", "n", "no"))
#: Names that are meant to ask something of Placement, whatever follows: one that is not understood asks nothing.
_GROUPED = re.compile(r"(resources|trait)([^:]*):(.*)", re.DOTALL)
_SUFFIX = re.compile(r"[a-zA-Z0-9_-]{0,64}", re.ASCII)
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]{1,248}")


def _anything(value: str) -> str | None:
    return None


def _truth(value: str) -> str | None:
    return None if value.strip().lower() in _BOOLEANS else "a truth value"


def _one_of(*choices: str) -> Check:
    return lambda value: None if value in choices else f"one of {', '.join(choices)}"


def _number(minimum: int | None = None, maximum: int | None = None) -> Check:
    def check(value: str) -> str | None:
        if re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII) is None:
            return "a whole number"
        if minimum is not None and int(value) < minimum:
            return f"at least {minimum}"
        if maximum is not None and int(value) > maximum:
            return f"at most {maximum}"
        return None

    return check


def _like(pattern: str, words: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: None if compiled.fullmatch(value) else words


_COUNT = _number(1)
_RATE = _number(0)
#: As much as Placement can count.
_AMOUNT = _number(0, 2**31 - 1)
_CPU_SET = _like(r"\^?\d+(-\d+)?(,\^?\d+(-\d+)?)*", "a list of CPU numbers and ranges")
_LEVEL = _one_of("custom", "high", "normal", "low")
_HOST_FACTS = (
    "(cpu|disk|ram)_allocation_ratio",
    "(vcpus|memory_mb|local_gb|disk_mb)_used",
    "(vcpus|vcpus_total|memory_mb|local_gb|disk_available_least)",
    "(free_disk_gb|free_disk_mb|free_ram_mb|total_usable_disk_gb|total_usable_ram_mb)",
    "(num_instances|num_io_ops|running_vms|current_workload|failed_builds)",
    "(id|uuid|service_id|cell_uuid|host|host_ip|hypervisor_hostname|hypervisor_type|hypervisor_version)",
    "(aggregates|mapped|updated)",
)
#: Facts of a host that have parts, named after more colons.
_HOST_STRUCTURES = (
    "cpu_info|instances|limits|metrics|nodename|numa_topology|pci_device_pools|pci_stats|stats|supported_hv_specs"
    "|supported_instances"
)


def _all(names: Iterable[str], check: Check) -> dict[str, Check]:
    return dict.fromkeys(names, check)


#: Namespace → pattern of the names after the colon → check of the value.
_KNOWN: Mapping[str, Mapping[str, Check]] = {
    "accel": {"device_profile": _anything},
    "aggregate_instance_extra_specs": {".+": _anything},
    "capabilities": {
        **_all(_HOST_FACTS, _anything),
        rf"({_HOST_STRUCTURES})(:\w+)*": _anything,
    },
    "hw": {
        **_all(
            (
                "boot_menu",
                "cpu_realtime",
                "ephemeral_encryption",
                "hide_hypervisor_id",
                "locked_memory",
                "mem_encryption",
                "pmu",
                "vif_multiqueue_enabled",
                "virtio_packed_ring",
            ),
            _truth,
        ),
        **_all((rf"cpu_(max_)?{part}" for part in ("cores", "sockets", "threads")), _COUNT),
        **_all(("cpu_dedicated_mask", "cpu_realtime_mask", r"numa_cpus\.\d+"), _CPU_SET),
        **_all((r"numa_mem\.\d+", "numa_nodes"), _COUNT),
        "cpu_policy": _one_of("dedicated", "shared", "mixed"),
        "cpu_thread_policy": _one_of("prefer", "isolate", "require"),
        "emulator_threads_policy": _one_of("isolate", "share"),
        "ephemeral_encryption_format": _one_of("plain", "luks", "luksv2"),
        "mem_encryption_model": _one_of("amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx"),
        "mem_page_size": _like(r"large|small|any|\d+([kKMGT]i?)?(b|bit|B)?", "large, small, any or a size"),
        "pci_numa_affinity_policy": _one_of("required", "preferred", "legacy", "socket"),
        "pmem": _like(r"[a-zA-Z0-9_]+(,[a-zA-Z0-9_]+)*,?", "a list of names"),
        "redirected_usb_ports": _number(0, 15),
        "serial_port_count": _RATE,
        "sound_model": _one_of("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"),
        "tpm_model": _one_of("tpm-tis", "tpm-crb"),
        "tpm_secret_security": _one_of("user", "host", "deployment"),
        "tpm_version": _one_of("1.2", "2.0"),
        "usb_model": _one_of("none", "nec-xhci", "qemu-xhci"),
        "viommu_model": _one_of("intel", "smmuv3", "virtio", "auto"),
        "watchdog_action": _one_of("none", "pause", "poweroff", "reset", "disabled"),
    },
    "hw_rng": {"allowed": _truth, "rate_(bytes|period)": _RATE},
    "hw_video": {"ram_max_mb": _RATE},
    "os": {"secure_boot": _one_of("disabled", "required")},
    "pci_passthrough": {"alias": _like(r"[^:]+:\d+(\s*,\s*[^:]+:\d+)*", "name:count, as often as needed")},
    "quota": {
        "cpu_(limit|period|shares|shares_share)": _RATE,
        "cpu_(quota|reservation)": _number(),
        "disk_(read|write|total)_(bytes|iops)_sec": _RATE,
        "disk_io_(limit|shares_share)": _RATE,
        "(disk_io|memory|vif)_reservation": _number(),
        "(memory|vif)_(limit|shares_share)": _RATE,
        "vif_(inbound|outbound)_(average|burst|peak)": _RATE,
        "(cpu|disk_io|memory|vif)_shares_level": _LEVEL,
    },
    "vmware": {"hw_version": _anything, "storage_policy": _anything},
}
_COMPILED = {
    namespace: [(re.compile(pattern), check) for pattern, check in names.items()] for namespace, names in _KNOWN.items()
}
#: Names without a namespace.
_BARE: Mapping[str, Check] = {
    "group_policy": _one_of("isolate", "none"),
    "hide_hypervisor_id": _truth,
    "same_subtree": _like(
        r"[a-zA-Z0-9_-]{1,64}(,[a-zA-Z0-9_-]{1,64})*", "suffixes of groups, with commas between them"
    ),
}
_RESOURCE_CLASSES = frozenset(os_resource_classes.STANDARDS)
_TRAITS = frozenset(os_traits.get_traits())


def check(name: str, value: str) -> None:
    """Raise Invalid when ``name`` is in a known namespace and unknown there, or cannot have ``value``."""
    wanted = _check_of(name)(value)
    if wanted is not None:
        raise Invalid(f"extra_specs.{name}: {value[:64]!r} is not {wanted}")


def _check_of(name: str) -> Check:
    grouped = _GROUPED.fullmatch(name)
    if grouped is not None:
        return _check_of_group(name, grouped[1], grouped[2], grouped[3])
    namespace, colon, rest = name.partition(":")
    if not colon:
        return _BARE.get(name, _anything)
    if namespace not in _COMPILED:
        return _anything
    for pattern, found in _COMPILED[namespace]:
        if pattern.fullmatch(rest):
            return found
    raise _unknown(name)


def _check_of_group(name: str, kind: str, suffix: str, rest: str) -> Check:
    standard = _RESOURCE_CLASSES if kind == "resources" else _TRAITS
    if _SUFFIX.fullmatch(suffix) is None or (rest not in standard and _CUSTOM.fullmatch(rest) is None):
        raise _unknown(name)
    return _AMOUNT if kind == "resources" else _one_of("required", "forbidden")


def _unknown(name: str) -> Invalid:
    return Invalid(f"extra_specs: {name!r} is no extra spec that this namespace knows")
