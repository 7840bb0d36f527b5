"""From flavors and images to what Placement is asked."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from nova_lite.errors import Invalid
from nova_lite.model.flavor import Flavor
from nova_lite.scheduler import request
from nova_lite.scheduler.request import Restriction


def flavor(**extra_specs: str) -> Flavor:
    """Return a flavor; ``__`` in a keyword stands for a colon."""
    specs = {name.replace("__", ":"): value for name, value in extra_specs.items()}
    return Flavor("1", "tiny", 1, 512, 1, extra_specs=specs)


def asked(flavor: Flavor, image: Mapping[str, str] | None = None) -> dict[str, object]:
    """Return what Placement is asked besides the limit."""
    query = request.candidates_query(request.needs(flavor, image), limit=7)
    assert query.pop("limit") == 7
    return dict(query)


PLAIN = "DISK_GB:1,MEMORY_MB:512,VCPU:1"


@pytest.mark.parametrize(
    ("flavor", "query"),
    [
        pytest.param(flavor(), {"resources": PLAIN}, id="plain"),
        pytest.param(Flavor("1", "f", 1, 512, 0), {"resources": "MEMORY_MB:512,VCPU:1"}, id="no disk"),
        pytest.param(
            Flavor("1", "f", 1, 512, 1, ephemeral_gib=2, swap_mib=1025),
            {"resources": "DISK_GB:5,MEMORY_MB:512,VCPU:1"},
            id="all disks, rounded up",
        ),
        pytest.param(
            flavor(resources__VCPU="0", resources__MEMORY_MB="0", resources__DISK_GB="0", resources__CUSTOM_GOLD="1"),
            {"resources": "CUSTOM_GOLD:1"},
            id="a machine as a whole",
        ),
        pytest.param(
            flavor(resources__VGPU="2"), {"resources": "DISK_GB:1,MEMORY_MB:512,VCPU:1,VGPU:2"}, id="one class more"
        ),
        pytest.param(
            flavor(trait__CUSTOM_A="required", trait__HW_CPU_X86_AVX="required", trait__CUSTOM_B="forbidden"),
            {"resources": PLAIN, "required": "CUSTOM_A,HW_CPU_X86_AVX,!CUSTOM_B"},
            id="traits",
        ),
        pytest.param(
            flavor(resources1__SRIOV_NET_VF="1", trait1__CUSTOM_NET="required"),
            {"resources": PLAIN, "resources1": "SRIOV_NET_VF:1", "required1": "CUSTOM_NET"},
            id="one group",
        ),
        pytest.param(
            flavor(resources1__SRIOV_NET_VF="1", resources_b__SRIOV_NET_VF="2"),
            {
                "resources": PLAIN,
                "resources1": "SRIOV_NET_VF:1",
                "resources_b": "SRIOV_NET_VF:2",
                "group_policy": "none",
            },
            id="several groups need a policy",
        ),
        pytest.param(
            flavor(
                resources_a__VGPU="1", resources_b__VGPU="1", group_policy="isolate", same_subtree="_a,_b"
            ),
            {
                "resources": PLAIN,
                "resources_a": "VGPU:1",
                "resources_b": "VGPU:1",
                "group_policy": "isolate",
                "same_subtree": "_a,_b",
            },
            id="apart, below one provider",
        ),
        pytest.param(
            flavor(hw__cpu_policy="dedicated", hw__cpu_thread_policy="require"),
            {"resources": "DISK_GB:1,MEMORY_MB:512,PCPU:1", "required": "HW_CPU_HYPERTHREADING"},
            id="dedicated processors",
        ),
        pytest.param(flavor(hw__cpu_cores="2", other="x"), {"resources": PLAIN}, id="what is not for Placement"),
    ],
)  # fmt: skip
def test_what_a_flavor_asks_of_placement(flavor: Flavor, query: dict[str, object]) -> None:
    assert asked(flavor) == query


def test_an_image_requires_traits_too() -> None:
    image = {"trait:CUSTOM_LICENSED": "required", "hw_disk_bus": "virtio"}
    assert asked(flavor(trait__CUSTOM_A="required"), image)["required"] == "CUSTOM_A,CUSTOM_LICENSED"


def test_restrictions_of_hosts_are_asked_all_together() -> None:
    restrictions = {
        "a": Restriction(required=frozenset({"B", "A"}), one_of=frozenset({"2", "1"})),
        "b": Restriction(forbidden=frozenset({"C"}), none_of=frozenset({"4"}), node="n"),
        "c": Restriction(one_of=frozenset({"3"}), none_of=frozenset({"5"})),
    }
    assert request.candidates_query(replace(request.needs(flavor()), restrictions=restrictions), limit=1) == {
        "limit": 1,
        "resources": PLAIN,
        "in_tree": "n",
        "member_of": ["in:1,2", "in:3", "!in:4,5"],
        "root_required": "A,B,!C",
    }


@pytest.mark.parametrize(
    ("flavor", "image", "why"),
    [
        (flavor(resources__VCPU="many"), {}, "resources:VCPU is 'many', not a whole number"),
        (flavor(resources__VCPU="2147483648"), {}, "not a whole number up to 2147483647"),
        (flavor(resources__VCPU="-1"), {}, "not a whole number"),
        (flavor(trait__CUSTOM_A="yes"), {}, "trait:CUSTOM_A is 'yes', not required or forbidden"),
        (flavor(trait__CUSTOM_A="forbidden"), {"trait:CUSTOM_A": "required"}, "CUSTOM_A is both required and forbid"),
        (flavor(), {"trait:CUSTOM_A": "forbidden"}, "The image asks .* not required"),
        (flavor(group_policy="both"), {}, "group_policy is 'both'"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_reason(flavor: Flavor, image: dict[str, str], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        request.needs(flavor, image)


@pytest.mark.parametrize(
    ("flavor", "shortage"),
    [
        (flavor(), "No host has 1 VCPU, 512 MiB of memory, 1 GiB of disk free."),
        (Flavor("1", "f", 1, 512, 0), "No host has 1 VCPU, 512 MiB of memory free."),
        (
            flavor(resources__CUSTOM_GOLD="1", trait__CUSTOM_A="required", trait1__CUSTOM_B="forbidden"),
            "No host has 1 VCPU, 512 MiB of memory, 1 GiB of disk, 1 CUSTOM_GOLD free, having CUSTOM_A, "
            "not having CUSTOM_B.",
        ),
    ],
)
def test_users_are_told_what_no_host_has(flavor: Flavor, shortage: str) -> None:
    assert request.shortage(request.needs(flavor)) == shortage


def test_users_are_told_what_was_asked_of_hosts_besides() -> None:
    asked = {"a": Restriction("in zone east"), "b": Restriction(""), "c": Restriction("taking vmdk images")}
    told = request.shortage(replace(request.needs(Flavor("1", "f", 1, 512, 0)), restrictions=asked))
    assert told == "No host has 1 VCPU, 512 MiB of memory free, in zone east, taking vmdk images."
