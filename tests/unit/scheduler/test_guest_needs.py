"""What special hardware of a guest takes of Placement."""

import pytest

from nova_lite.errors import Invalid
from nova_lite.model.flavor import Flavor
from nova_lite.scheduler import guest_needs


def flavor(vcpus: int = 4, **extra_specs: str) -> Flavor:
    """Return a flavor; keywords are extra specs of ``hw``."""
    return Flavor("1", "tiny", vcpus, 512, 1, extra_specs={f"hw:{name}": value for name, value in extra_specs.items()})


@pytest.mark.parametrize(
    ("flavor", "image", "resources"),
    [
        pytest.param(flavor(), {}, {"VCPU": 4, "PCPU": 0}, id="plain"),
        pytest.param(flavor(cpu_policy="shared"), {"hw_cpu_policy": "shared"}, {"VCPU": 4, "PCPU": 0}, id="shared"),
        pytest.param(flavor(cpu_policy="dedicated"), {}, {"VCPU": 0, "PCPU": 4}, id="dedicated"),
        pytest.param(flavor(), {"hw_cpu_policy": "dedicated"}, {"VCPU": 0, "PCPU": 4}, id="dedicated by the image"),
        pytest.param(
            flavor(cpu_policy="dedicated"), {"hw_cpu_policy": "shared"}, {"VCPU": 0, "PCPU": 4}, id="more than asked"
        ),
        pytest.param(
            flavor(cpu_policy="dedicated", emulator_threads_policy="isolate"),
            {},
            {"VCPU": 0, "PCPU": 5},
            id="one for the hypervisor",
        ),
        pytest.param(flavor(emulator_threads_policy="isolate"), {}, {"VCPU": 4, "PCPU": 0}, id="none where all share"),
        pytest.param(
            flavor(cpu_policy="mixed", cpu_dedicated_mask="0-2,^1"), {}, {"VCPU": 2, "PCPU": 2}, id="some of them"
        ),
        pytest.param(
            flavor(cpu_policy="mixed", cpu_dedicated_mask="^0"), {}, {"VCPU": 1, "PCPU": 3}, id="all but some"
        ),
        pytest.param(
            flavor(mem_encryption="yes", pmem="gold,gold,silver"),
            {},
            {
                "VCPU": 4,
                "PCPU": 0,
                "MEM_ENCRYPTION_CONTEXT": 1,
                "CUSTOM_PMEM_NAMESPACE_GOLD": 2,
                "CUSTOM_PMEM_NAMESPACE_SILVER": 1,
            },
            id="special memory",
        ),
        pytest.param(
            flavor(), {"hw_mem_encryption": "true"}, {"VCPU": 4, "PCPU": 0, "MEM_ENCRYPTION_CONTEXT": 1}, id="image"
        ),
    ],
)
def test_what_special_hardware_takes(flavor: Flavor, image: dict[str, str], resources: dict[str, int]) -> None:
    assert guest_needs.resources(flavor, image) == resources


@pytest.mark.parametrize(
    ("flavor", "image", "why"),
    [
        (flavor(cpu_policy="lonely"), {}, "policy is 'lonely'"),
        (flavor(cpu_policy="shared"), {"hw_cpu_policy": "dedicated"}, "the flavor shares processors, the image wants"),
        (flavor(cpu_policy="mixed"), {}, "cpu_dedicated_mask is '', not a list"),
        (flavor(cpu_policy="mixed", cpu_dedicated_mask="0-3"), {}, "must name some of the processors"),
        (flavor(cpu_policy="mixed", cpu_dedicated_mask="0,4"), {}, "names processor 4, and there are 4"),
        (flavor(cpu_policy="mixed", cpu_dedicated_mask="0-99999"), {}, "not a list of processors"),
        (flavor(cpu_policy="mixed", cpu_dedicated_mask="0,,1"), {}, "not a list of processors"),
        (flavor(cpu_policy="mixed", cpu_dedicated_mask="0-1-2"), {}, "not a list of processors"),
    ],
)
def test_what_cannot_be_is_refused(flavor: Flavor, image: dict[str, str], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        guest_needs.resources(flavor, image)


@pytest.mark.parametrize(
    ("flavor", "required", "forbidden"),
    [
        (flavor(cpu_thread_policy="require"), set(), set()),
        (flavor(cpu_policy="dedicated", cpu_thread_policy="prefer"), set(), set()),
        (flavor(cpu_policy="dedicated", cpu_thread_policy="require"), {guest_needs.HYPERTHREADING}, set()),
        (flavor(cpu_policy="dedicated", cpu_thread_policy="isolate"), set(), {guest_needs.HYPERTHREADING}),
    ],
)
def test_what_is_asked_of_threads(flavor: Flavor, required: set[str], forbidden: set[str]) -> None:
    assert guest_needs.traits(flavor, {}) == (required, forbidden)
