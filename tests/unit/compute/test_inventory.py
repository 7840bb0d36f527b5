"""What a host tells Placement of itself."""

from typing import Any

import pytest

from nova_lite import config, errors
from nova_lite.compute import inventory
from nova_lite.model.guest import HostResources

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


def _conf(**options: object) -> Any:
    conf = config.load(files=[])
    for name, value in options.items():
        conf.set_override(name, value)
    return conf


class Provider:
    """A provider as Placement keeps it; others change it as often as ``disturbances`` says."""

    def __init__(self, inventories: dict[str, Any] | None = None, traits: set[str] | None = None) -> None:
        self.held, self.tagged, self.generation = inventories or {}, traits or set(), 0
        self.disturbances = 0
        self.writes: list[str] = []

    def ensure_provider(self, uuid: str, name: str) -> int:
        return self.generation

    def inventories(self, uuid: str) -> tuple[dict[str, Any], int]:
        return dict(self.held), self.generation

    def set_inventories(self, uuid: str, inventories: dict[str, Any], generation: int) -> None:
        self._write("inventories", generation)
        self.held = dict(inventories)

    def traits(self, uuid: str) -> tuple[set[str], int]:
        return set(self.tagged), self.generation

    def set_traits(self, uuid: str, traits: set[str], generation: int) -> None:
        self._write("traits", generation)
        self.tagged = set(traits)

    def _write(self, what: str, generation: int) -> None:
        if self.disturbances:
            self.disturbances -= 1
            self.generation += 1
        if generation != self.generation:
            raise errors.Conflict("changed meanwhile")
        self.generation += 1
        self.writes.append(what)


def _tell(provider: Provider, **options: object) -> None:
    inventory.tell(provider, _conf(**options), "node", RESOURCES)  # type: ignore[arg-type]


def test_a_new_host_gets_the_configured_ratios_and_reserves() -> None:
    conf = _conf(initial_cpu_allocation_ratio=8.0, reserved_host_disk_mb=1025, reserved_host_cpus=1)
    found = inventory.wanted(RESOURCES, conf, {})
    assert {name: (one["total"], one["reserved"], one["allocation_ratio"]) for name, one in found.items()} == {
        "VCPU": (4, 1, 8.0),
        "MEMORY_MB": (8192, 512, 1.0),
        "DISK_GB": (100, 2, 1.0),
    }


def test_a_known_ratio_is_the_operators() -> None:
    found = inventory.wanted(RESOURCES, _conf(), {"VCPU": {"allocation_ratio": 2.5}})
    assert found["VCPU"]["allocation_ratio"] == 2.5


@pytest.mark.parametrize("reserved", [8192, 10_000])
def test_a_reserve_never_exceeds_what_there_is(reserved: int) -> None:
    assert inventory.wanted(RESOURCES, _conf(reserved_host_memory_mb=reserved), {})["MEMORY_MB"]["reserved"] == 8192


def test_telling_twice_writes_once() -> None:
    provider = Provider()
    _tell(provider)
    assert provider.writes == ["inventories", "traits"]
    _tell(provider)
    assert provider.writes == ["inventories", "traits"]


def test_what_others_said_stays() -> None:
    provider = Provider(
        {"CUSTOM_GOLD": {"total": 3}}, {"CUSTOM_FAST", "COMPUTE_STATUS_DISABLED", "HW_CPU_X86_SSE", "MISC_SHARES"}
    )
    _tell(provider)
    assert provider.held["CUSTOM_GOLD"] == {"total": 3}
    # The CPU that had SSE is gone: that is the host's to say.
    assert provider.tagged == {"CUSTOM_FAST", "COMPUTE_STATUS_DISABLED", "MISC_SHARES"} | RESOURCES.traits


def test_a_change_by_others_is_no_failure() -> None:
    provider = Provider()
    provider.disturbances = 3
    _tell(provider)
    assert set(provider.held) == {"VCPU", "MEMORY_MB", "DISK_GB"}


def test_changes_without_end_are_told() -> None:
    provider = Provider()
    provider.disturbances = 100
    with pytest.raises(errors.Unavailable):
        _tell(provider)
