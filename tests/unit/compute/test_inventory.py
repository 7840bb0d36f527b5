"""What a host offers: reserves, ratios, and what a pool offers in its place."""

from typing import Any

import pytest

from nova_lite import config
from nova_lite.compute import inventory
from nova_lite.model.guest import HostResources
from nova_lite.model.provider import Inventory, Provider, whole_host

RESOURCES = HostResources(
    vcpus=4,
    ram_mib=8192,
    disk_gib=100,
    hypervisor_type="fake",
    hypervisor_version=1,
    hypervisor_hostname="host1",
    host_ip="127.0.0.1",
    traits=frozenset({"COMPUTE_NODE", "HW_CPU_X86_AVX"}),
)


def _offered(*providers: Provider, **options: object) -> tuple[Provider, ...]:
    conf: Any = config.load(files=[])
    for name, value in options.items():
        group, _, option = name.rpartition("__")
        conf.set_override(option, value, group=group or None)
    return inventory.offered(providers or (whole_host(RESOURCES),), conf)


def test_a_host_offers_what_it_has_but_its_reserves() -> None:
    (host,) = _offered(initial_cpu_allocation_ratio=8.0, reserved_host_disk_mb=1025, reserved_host_cpus=1)
    assert (host.name, host.parent, host.traits) == ("host1", None, RESOURCES.traits)
    found = {name: inventory.entry(one, None) for name, one in host.inventories.items()}
    assert {name: (one["total"], one["reserved"], one["max_unit"]) for name, one in found.items()} == {
        "VCPU": (4, 1, 4),
        "MEMORY_MB": (8192, 512, 8192),
        "DISK_GB": (100, 2, 100),
    }


@pytest.mark.parametrize(
    ("known", "options", "ratio"),
    [
        pytest.param(None, {}, 4.0, id="the first is the initial one"),
        pytest.param({"allocation_ratio": 2.5}, {"initial_cpu_allocation_ratio": 8.0}, 2.5, id="later: operators'"),
        pytest.param(None, {"cpu_allocation_ratio": 3.0}, 3.0, id="forced at first"),
        pytest.param({"allocation_ratio": 2.5}, {"cpu_allocation_ratio": 3.0}, 3.0, id="forced later"),
    ],
)
def test_ratios(known: dict[str, object] | None, options: dict[str, object], ratio: float) -> None:
    (host,) = _offered(**options)
    assert inventory.entry(host.inventories["VCPU"], known)["allocation_ratio"] == ratio


def test_an_inventory_in_another_places_stead_has_its_ratio() -> None:
    (host,) = _offered()
    assert inventory.entry(host.inventories["VCPU"], None, 9.0)["allocation_ratio"] == 9.0


@pytest.mark.parametrize("reserved", [8192, 10_000])
def test_a_reserve_never_exceeds_what_there_is(reserved: int) -> None:
    (host,) = _offered(reserved_host_memory_mb=reserved)
    assert host.inventories["MEMORY_MB"].reserved == 8192


@pytest.mark.parametrize(
    ("reserved", "shares"),
    [
        pytest.param(0, [0, 0], id="nothing"),
        pytest.param(400, [300, 100], id="in proportion"),
        pytest.param(401, [301, 100], id="all of it"),
        pytest.param(9000, [3000, 1000], id="no more than there is"),
    ],
)
def test_a_reserve_is_spread_over_the_parts_of_a_host(reserved: int, shares: list[int]) -> None:
    parts = [
        Provider("host1", inventories={"DISK_GB": Inventory(100)}),
        Provider("host1_a", "host1", {"MEMORY_MB": Inventory(3000)}),
        Provider("host1_b", "host1", {"MEMORY_MB": Inventory(1000)}),
    ]
    found = _offered(*parts, reserved_host_memory_mb=reserved)
    assert [part.inventories["MEMORY_MB"].reserved for part in found[1:]] == shares
    assert set(found[0].inventories) == {"DISK_GB"}


def test_a_disk_that_is_a_pools_is_not_the_hosts_to_offer() -> None:
    (host,) = _offered(compute__uses_shared_disk_pool=True)
    assert set(host.inventories) == {"VCPU", "MEMORY_MB"}
