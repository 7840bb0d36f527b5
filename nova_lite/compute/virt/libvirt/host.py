"""What a libvirt host has and can do: its resources, its CPU and its traits."""

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # what is parsed here comes from libvirt

import os_traits

from nova_lite import errors
from nova_lite.compute.virt.libvirt.bindings import libvirt

_ARCH = "x86_64"

#: What this driver really does, in Placement's words.
_CAPABILITIES = frozenset(
    {
        os_traits.COMPUTE_NODE,
        os_traits.COMPUTE_ARCH_X86_64,
        os_traits.COMPUTE_FIRMWARE_BIOS,
        os_traits.COMPUTE_IMAGE_TYPE_QCOW2,
        os_traits.COMPUTE_IMAGE_TYPE_RAW,
        os_traits.COMPUTE_RESCUE_BFV,
        os_traits.COMPUTE_STORAGE_BUS_IDE,
        os_traits.COMPUTE_STORAGE_BUS_SATA,
        os_traits.COMPUTE_STORAGE_BUS_SCSI,
        os_traits.COMPUTE_STORAGE_BUS_VIRTIO,
        os_traits.COMPUTE_VOLUME_EXTEND,
        os_traits.COMPUTE_VOLUME_MULTI_ATTACH,
        os_traits.HW_ARCH_X86_64,
    }
)

#: libvirt's names of CPU features that are not just a trait's name in lower case.
_FEATURE_TRAITS = {
    "pni": "HW_CPU_X86_SSE3",
    "fma": "HW_CPU_X86_FMA3",
    "pclmuldq": "HW_CPU_X86_CLMUL",
    "pclmulqdq": "HW_CPU_X86_CLMUL",
    "sse4.1": "HW_CPU_X86_SSE41",
    "sse4.2": "HW_CPU_X86_SSE42",
    "aes": "HW_CPU_X86_AESNI",
    "sha-ni": "HW_CPU_X86_SHA",
    "rtm": "HW_CPU_X86_TSX",
    "svm": "HW_CPU_X86_AMD_SVM",
    "vmx": "HW_CPU_X86_INTEL_VMX",
    "ssbd": "HW_CPU_X86_INTEL_SSBD",
    "amd-ssbd": "HW_CPU_X86_AMD_SSBD",
    "pdpe1gb": "HW_CPU_X86_PDPE1GB",
}

_KNOWN_TRAITS = frozenset(os_traits.get_traits("HW_CPU_X86"))


def check_can_run(connection: Any, virt_type: str) -> None:
    """Raise Misconfigured when this libvirt has no emulator for guests of ``virt_type``."""
    try:
        connection.getDomainCapabilities(None, _ARCH, "pc", virt_type)
    except libvirt.libvirtError as error:
        raise errors.Misconfigured(
            f"libvirt cannot run {virt_type!r} guests here: {error}. Install qemu-system-x86, or set [libvirt]"
            " virt_type to 'qemu' (software, anywhere) or 'kvm' (hardware with working virtualisation)."
        ) from error


def ram_mib(meminfo: str = "/proc/meminfo") -> int:
    """Return the machine's memory. (libvirt's own figure is that of NUMA nodes, which may still be growing.)"""
    for line in Path(meminfo).read_text(encoding="ascii").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemTotal":
            return int(amount.split()[0]) // 1024
    raise errors.Misconfigured(f"{meminfo} has no MemTotal")


def cpu_info(connection: Any) -> dict[str, object]:
    """Return the host's CPU as the hypervisors API shows it."""
    cpu = ElementTree.fromstring(connection.getCapabilities()).find("host/cpu")  # noqa: S314 - from libvirt
    if cpu is None:
        return {"arch": _ARCH}
    topology = cpu.find("topology")
    return {
        "arch": cpu.findtext("arch", _ARCH),
        "model": cpu.findtext("model", ""),
        "vendor": cpu.findtext("vendor", ""),
        "topology": {} if topology is None else {key: int(value) for key, value in topology.attrib.items()},
        "features": sorted(feature.get("name", "") for feature in cpu.iterfind("feature")),
    }


def vcpus(connection: Any) -> int:
    """Return how many processors the host has online."""
    online = int(connection.getCPUMap()[2])
    return online or os.cpu_count() or 1


def runs(virt_type: str) -> tuple[tuple[str, str, str], ...]:
    """Return the kinds of guests this driver makes here: images made for QEMU run on KVM, too, not the reverse."""
    return tuple((_ARCH, each, "hvm") for each in sorted({virt_type, "qemu"}))


def traits(connection: Any, virt_type: str) -> frozenset[str]:
    """Return what can be asked of this host: what the driver does, and the CPU features a guest really gets."""
    # Software-emulated guests run on QEMU's basic CPU model, whose features nobody would ask a host for.
    features = _guest_features(connection) if virt_type == "kvm" else frozenset[str]()
    return _CAPABILITIES | cpu_traits(features)


def cpu_traits(features: frozenset[str]) -> frozenset[str]:
    """Return the standard traits of CPU features: pure."""
    named = {_FEATURE_TRAITS.get(name, f"HW_CPU_X86_{name.upper().replace('-', '_')}") for name in features}
    return frozenset(named & _KNOWN_TRAITS)


def _guest_features(connection: Any) -> frozenset[str]:
    capabilities = ElementTree.fromstring(connection.getDomainCapabilities(None, _ARCH, "pc", "kvm"))  # noqa: S314 - from libvirt
    mode = capabilities.find("cpu/mode[@name='host-model'][@supported='yes']")
    if mode is None:
        return frozenset()
    cpu = ElementTree.Element("cpu")
    cpu.extend(list(mode))
    expanded = connection.baselineHypervisorCPU(
        None,
        _ARCH,
        "pc",
        "kvm",
        [ElementTree.tostring(cpu, encoding="unicode")],
        libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES,
    )
    found = ElementTree.fromstring(expanded).iterfind("feature")  # noqa: S314 - from libvirt
    return frozenset(
        feature.get("name", "") for feature in found if feature.get("policy", "require") in ("require", "force")
    )
