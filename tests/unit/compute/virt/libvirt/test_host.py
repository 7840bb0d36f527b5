"""What a host says of itself."""

from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt import host


def test_memory_is_what_the_kernel_has(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24684084 kB\nMemFree:         123 kB\n")
    assert host.ram_mib(str(meminfo)) == 24105


def test_memory_unknown_is_said(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemFree: 1 kB\n")
    with pytest.raises(errors.Misconfigured, match="MemTotal"):
        host.ram_mib(str(meminfo))


@pytest.mark.parametrize(
    ("features", "traits"),
    [
        (
            {"avx2", "sse4.2", "pni", "aes"},
            {"HW_CPU_X86_AVX2", "HW_CPU_X86_SSE42", "HW_CPU_X86_SSE3", "HW_CPU_X86_AESNI"},
        ),
        ({"stibp", "amd-ssbd"}, {"HW_CPU_X86_STIBP", "HW_CPU_X86_AMD_SSBD"}),
        ({"no-such-feature", "de", ""}, set()),
    ],
)
def test_features_become_standard_traits(features: set[str], traits: set[str]) -> None:
    assert host.cpu_traits(frozenset(features)) == traits
