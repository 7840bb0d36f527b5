"""Which extra specs are known, and what they can be."""

import pytest

from nova_lite.api.services import known_extra_specs
from nova_lite.errors import Invalid


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hw:cpu_policy", "mixed"),
        ("hw:cpu_max_threads", "2"),
        ("hw:cpu_dedicated_mask", "0-3,^2"),
        ("hw:numa_cpus.10", "1,2"),
        ("hw:mem_page_size", "2MB"),
        ("hw:mem_page_size", "large"),
        ("hw:boot_menu", "Yes"),
        ("hw:redirected_usb_ports", "15"),
        ("hw_rng:rate_period", "0"),
        ("os:secure_boot", "required"),
        ("quota:cpu_quota", "-1"),
        ("quota:disk_read_iops_sec", "10"),
        ("quota:vif_outbound_peak", "10"),
        ("pci_passthrough:alias", "gpu:2, nic:1"),
        ("resources:VCPU", "0"),
        ("resources1:CUSTOM_GOLD", "1"),
        ("resources_GPU:VGPU", "1"),
        ("trait:HW_CPU_X86_AVX2", "required"),
        ("trait_A:CUSTOM_FAST", "forbidden"),
        ("group_policy", "isolate"),
        ("capabilities:cpu_info:topology:cores", ">= 2"),
        ("capabilities:vcpus_used", "s< 3"),
        ("aggregate_instance_extra_specs:anything:at all", "true"),
        ("accel:device_profile", "fpga"),
        ("vmware:hw_version", "11"),
        ("mine:own", "whatever"),
        ("bare", "whatever"),
    ],
)
def test_known_and_free(name: str, value: str) -> None:
    known_extra_specs.check(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hw:cpu_policy", "always"),
        ("hw:cpu_polic", "mixed"),
        ("hw:cpu_cores", "0"),
        ("hw:cpu_cores", "two"),
        ("hw:cpu_dedicated_mask", "0-"),
        ("hw:boot_menu", "perhaps"),
        ("hw:redirected_usb_ports", "16"),
        ("hw:mem_page_size", "big"),
        ("hw_rng:rate_bytes", "-1"),
        ("os:secure_boot", "maybe"),
        ("quota:cpu_quota", "1.5"),
        ("quota:vif_outbound_bottom", "10"),
        ("pci_passthrough:alias", "gpu"),
        ("resources:GOLD", "1"),
        ("resources:VCPU", "-1"),
        ("resources:VCPU", "1" * 30),
        ("trait:NO_SUCH_TRAIT", "required"),
        ("trait:CUSTOM_x", "required"),
        ("trait:CUSTOM_X", "maybe"),
        ("group_policy", "both"),
        ("capabilities:colour", "red"),
        ("capabilities:vcpus:cores", "1"),
    ],
)
def test_refused(name: str, value: str) -> None:
    with pytest.raises(Invalid, match="extra_specs"):
        known_extra_specs.check(name, value)
