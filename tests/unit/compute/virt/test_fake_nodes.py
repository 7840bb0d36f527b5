"""Nodes of imitated hosts, as the configuration describes them."""

import pytest

from nova_lite.compute.virt import fake_nodes
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.compute.virt.fake_nodes import Node
from nova_lite.errors import Misconfigured
from nova_lite.model.provider import Inventory


def test_nodes_are_providers_below_their_host() -> None:
    nodes = fake_nodes.parse(["n1:CUSTOM_GOLD:CUSTOM_RAID:HW_CPU_X86_AVX", "n2:CUSTOM_GOLD"])
    assert nodes == (
        Node("n1", "CUSTOM_GOLD", frozenset({"CUSTOM_RAID", "HW_CPU_X86_AVX"})),
        Node("n2", "CUSTOM_GOLD"),
    )
    host, *below = FakeDriver("alpha", vcpus=0, ram_mib=0, disk_gib=0, nodes=nodes).providers()
    assert (host.name, host.parent, dict(host.inventories)) == ("alpha", None, {})
    assert "COMPUTE_NODE" in host.traits
    assert [(one.name, one.parent, one.traits) for one in below] == [
        ("alpha_n1", "alpha", nodes[0].traits),
        ("alpha_n2", "alpha", frozenset()),
    ]
    assert below[0].inventories == {"CUSTOM_GOLD": Inventory(1, allocation_ratio=1.0)}


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["n1"], id="no class"),
        pytest.param(["n1:"], id="empty class"),
        pytest.param([":CUSTOM_GOLD"], id="no name"),
        pytest.param(["n 1:CUSTOM_GOLD"], id="space"),
        pytest.param(["n1:VCPU"], id="standard class"),
        pytest.param(["n1:CUSTOM_GOLD:FAST"], id="unknown trait"),
        pytest.param(["n1:CUSTOM_GOLD", "n1:CUSTOM_SILVER"], id="twice"),
    ],
)
def test_what_is_wrong_is_told(texts: list[str]) -> None:
    with pytest.raises(Misconfigured, match=r"\[fake\] nodes"):
        fake_nodes.parse(texts)
