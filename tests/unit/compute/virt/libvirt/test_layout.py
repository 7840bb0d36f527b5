"""What of a machine is a provider of its own, from a sysfs that is made of files."""

import json
from pathlib import Path

import pytest

from nova_lite.compute.virt.libvirt import pci
from nova_lite.compute.virt.libvirt.layout import Cell, Layout, cells
from nova_lite.errors import Misconfigured
from nova_lite.model.guest import HostResources
from nova_lite.model.provider import Inventory
from tests.unit.compute.virt.libvirt.machine import Machine

RESOURCES = HostResources(8, 6144, 100, "QEMU", 7002000, "alpha", "127.0.0.1", traits=frozenset({"COMPUTE_NODE"}))
PF, VF1, VF2 = "0000:81:00.0", "0000:81:02.0", "0000:81:02.1"
GPU = "0000:0a:00.0"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "sys")


def _layout(machine: Machine, *specs: dict[str, object], cells: bool = False) -> Layout:
    return Layout(machine.root, has_cells=cells, specs=pci.parse(json.dumps(spec) for spec in specs))


def _parts(machine: Machine, *specs: dict[str, object]) -> dict[str, dict[str, int]]:
    """Return part → class → total, all below the host."""
    host, *parts = _layout(machine, *specs).providers(RESOURCES)
    assert (host.name, set(host.inventories)) == ("alpha", {"VCPU", "MEMORY_MB", "DISK_GB"})
    assert {part.parent for part in parts} <= {"alpha"}
    return {part.name: {name: one.total for name, one in part.inventories.items()} for part in parts}


def test_a_host_is_whole_unless_told_otherwise(machine: Machine) -> None:
    machine.cell(0, "0-7", 1)
    machine.device(PF)
    assert _parts(machine) == {}


# -- NUMA cells -------------------------------------------------------------------------------------------------------


def test_cells_have_the_processors_and_the_memory(machine: Machine) -> None:
    machine.cell(10, "8-9,11,20-21", 2 << 20)
    machine.cell(0, "0-2", 4 << 20)
    machine.cell(1, "", 1 << 20)
    machine.cell(2, "3", 0)
    assert cells(machine.root) == [Cell(0, 3, 4096), Cell(10, 5, 2048)]
    host, first, second = _layout(machine, cells=True).providers(RESOURCES)
    assert dict(host.inventories) == {"DISK_GB": Inventory(100)}
    assert host.traits == {"COMPUTE_NODE"}
    assert (first.name, first.parent, set(first.traits)) == ("alpha_numa0", "alpha", {"HW_NUMA_ROOT"})
    assert first.inventories == {"VCPU": Inventory(3), "MEMORY_MB": Inventory(4096)}
    assert (second.name, second.inventories["VCPU"].total) == ("alpha_numa10", 5)


def test_a_machine_without_cells_is_whole(machine: Machine) -> None:
    (host,) = _layout(machine, cells=True).providers(RESOURCES)
    assert set(host.inventories) == {"VCPU", "MEMORY_MB", "DISK_GB"}


# -- PCI devices ------------------------------------------------------------------------------------------------------


def _with_functions(machine: Machine) -> None:
    machine.device(PF, "8086:1572")
    for address in (VF1, VF2):
        machine.device(address, "8086:154c", physical=PF)
    machine.device(GPU, "10de:2236", "0x030200")
    machine.device("0000:00:00.0", "8086:1237", "0x060000")


@pytest.mark.parametrize(
    ("specs", "parts"),
    [
        pytest.param([{"vendor_id": "ffff"}], {}, id="no such device"),
        pytest.param(
            [{"vendor_id": "10DE", "product_id": "2236"}],
            {"alpha_0000:0A:00.0": {"CUSTOM_PCI_10DE_2236": 1}},
            id="a device by what it is",
        ),
        pytest.param([{"address": GPU.upper()}], {"alpha_0000:0A:00.0": {"CUSTOM_PCI_10DE_2236": 1}}, id="by address"),
        pytest.param([{"address": "0000:0a:*"}], {"alpha_0000:0A:00.0": {"CUSTOM_PCI_10DE_2236": 1}}, id="by pattern"),
        pytest.param([{"vendor_id": "8086", "product_id": "1237", "address": GPU}], {}, id="all of it must be so"),
        pytest.param([{"product_id": "154c"}], {"alpha_0000:81:00.0": {"SRIOV_NET_VF": 2}}, id="virtual functions"),
        pytest.param([{"address": PF}], {"alpha_0000:81:00.0": {"SRIOV_NET_VF": 2}}, id="all of a physical one"),
        pytest.param([{"address": VF2}], {"alpha_0000:81:00.0": {"SRIOV_NET_VF": 1}}, id="one of them"),
        pytest.param(
            [{"address": VF2, "resource_class": "CUSTOM_NIC"}, {"address": PF}],
            {"alpha_0000:81:00.0": {"CUSTOM_NIC": 1, "SRIOV_NET_VF": 1}},
            id="the first that fits decides",
        ),
        pytest.param(
            [{"address": GPU, "resource_class": "PGPU"}], {"alpha_0000:0A:00.0": {"PGPU": 1}}, id="another class"
        ),
    ],
)
def test_which_devices_are_offered(
    machine: Machine, specs: list[dict[str, object]], parts: dict[str, dict[str, int]]
) -> None:
    _with_functions(machine)
    assert _parts(machine, *specs) == parts


def test_a_function_that_is_not_divided_is_a_device(machine: Machine) -> None:
    machine.device(PF, "8086:1572")
    assert _parts(machine, {"address": PF}) == {"alpha_0000:81:00.0": {"CUSTOM_PCI_8086_1572": 1}}


def test_devices_have_traits(machine: Machine) -> None:
    _with_functions(machine)
    layout = _layout(machine, {"address": PF, "traits": ["CUSTOM_PHYSNET_A"]}, {"address": GPU})
    _, gpu, nic = layout.providers(RESOURCES)
    assert gpu.traits == {"COMPUTE_MANAGED_PCI_DEVICE"}
    assert nic.traits == {"COMPUTE_MANAGED_PCI_DEVICE", "HW_NIC_SRIOV", "CUSTOM_PHYSNET_A"}
    assert nic.inventories["SRIOV_NET_VF"] == Inventory(2, allocation_ratio=1.0)


def test_a_device_that_comes_or_goes_is_seen(machine: Machine) -> None:
    layout = _layout(machine, {"vendor_id": "10de"})
    assert len(layout.providers(RESOURCES)) == 1
    machine.device(GPU, "10de:2236", "0x030200")
    assert len(layout.providers(RESOURCES)) == 2
    machine.remove(GPU)
    assert len(layout.providers(RESOURCES)) == 1


def test_a_device_that_cannot_be_read_is_left_out(machine: Machine) -> None:
    machine.device(GPU, "10de:2236")
    (machine.root / "bus" / "pci" / "devices" / "0000:ff:00.0").mkdir()
    assert list(_parts(machine, {"address": "0000:*"})) == ["alpha_0000:0A:00.0"]


def test_a_spec_without_devices_is_told_once(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    layout = _layout(machine, {"address": GPU})
    layout.providers(RESOURCES)
    assert GPU in caplog.text
    caplog.clear()
    layout.providers(RESOURCES)
    assert GPU not in caplog.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("8086:1572", "device_spec", id="no JSON"),
        pytest.param("[]", "device_spec", id="a list"),
        pytest.param("{}", "every device", id="nothing"),
        pytest.param('{"traits": ["CUSTOM_A"]}', "every device", id="nobody"),
        pytest.param('{"adress": "0000:81:00.0"}', "adress", id="misspelt"),
        pytest.param('{"vendor_id": "808"}', "vendor_id is not four", id="short"),
        pytest.param('{"vendor_id": 8086}', "vendor_id", id="a number"),
        pytest.param('{"vendor_id": "8086", "resource_class": "NIC"}', "NIC is no resource class", id="class"),
        pytest.param('{"vendor_id": "8086", "traits": ["FAST"]}', "FAST: no such trait", id="trait"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        pci.parse([text])
