"""Listing providers: what each filter means, and from which version it is understood.

One cloud for all of it: a ``small`` and a ``big`` host, a ``node`` below the big one, an ``empty`` host.
"""

import uuid
from dataclasses import dataclass

import pytest

from tests.functional.placement_api.conftest import Client

NORTH, SOUTH, NOWHERE = (f"aaaaaaaa-0000-4000-8000-{number:012}" for number in range(3))


@dataclass(frozen=True)
class Cloud:
    """The cloud these stories are told of."""

    placement: Client
    small: str
    big: str
    node: str

    def names(self, version: str, query: str) -> list[str]:
        """Return the names of the providers that ``query`` finds."""
        answer = self.placement.at(version).get(f"/resource_providers?{query}")
        assert answer.status_code == 200, answer.text
        return sorted(entry["name"] for entry in answer.json["resource_providers"])

    def refusal(self, version: str, query: str) -> str:
        """Return what is said where ``query`` is refused."""
        answer = self.placement.at(version).get(f"/resource_providers?{query}")
        assert answer.status_code == 400, answer.text
        return str(answer.json["errors"][0]["detail"])


@pytest.fixture
def cloud(placement: Client) -> Cloud:
    small = placement.provider("small", {"VCPU": 4, "DISK_GB": {"total": 100, "reserved": 40}})
    big = placement.provider(
        "big", {"VCPU": {"total": 16, "allocation_ratio": 2.0, "min_unit": 4, "max_unit": 8, "step_size": 4}}
    )
    node = placement.provider("node", {"CUSTOM_GOLD": 1} if _made(placement, "CUSTOM_GOLD") else {}, parent=big)
    placement.provider("empty")
    placement.set_aggregates(small, SOUTH)
    placement.set_aggregates(big, NORTH, SOUTH)
    placement.set_traits(big, "CUSTOM_FAST", "HW_CPU_X86_AVX")
    placement.set_traits(node, "CUSTOM_FAST")
    return Cloud(placement, small, big, node)


def _made(placement: Client, resource_class: str) -> bool:
    return placement.put(f"/resource_classes/{resource_class}").status_code == 201


def test_1_0_by_name_and_uuid(cloud: Cloud) -> None:
    assert cloud.names("1.0", "") == ["big", "empty", "node", "small"]
    assert cloud.names("1.0", "name=big") == ["big"]
    assert cloud.names("1.0", "name=Big") == []
    assert cloud.names("1.0", f"uuid={cloud.small}") == ["small"]
    assert cloud.names("1.0", f"uuid={cloud.small}&name=big") == []
    assert cloud.names("1.0", f"uuid={uuid.uuid4()}") == []
    assert "uuid" in cloud.refusal("1.0", "uuid=small")
    assert "colour" in cloud.refusal("1.39", "colour=red")


def test_of_a_parameter_that_comes_twice_the_last_counts(cloud: Cloud) -> None:
    assert cloud.names("1.39", "name=small&name=big") == ["big"]
    assert cloud.names("1.38", "required=HW_CPU_X86_AVX&required=CUSTOM_FAST") == ["big", "node"]


@pytest.mark.parametrize(
    ("before", "since", "query"),
    [
        pytest.param("1.2", "1.3", f"member_of={NORTH}", id="member_of"),
        pytest.param("1.3", "1.4", "resources=VCPU:4", id="resources"),
        pytest.param("1.13", "1.14", f"in_tree={NOWHERE}", id="in_tree"),
        pytest.param("1.17", "1.18", "required=CUSTOM_FAST", id="required"),
        pytest.param("1.21", "1.22", "required=!CUSTOM_FAST", id="forbidden traits"),
        pytest.param("1.23", "1.24", f"member_of={NORTH}&member_of={SOUTH}", id="member_of twice"),
        pytest.param("1.31", "1.32", f"member_of=!{NORTH}", id="forbidden aggregates"),
        pytest.param("1.38", "1.39", "required=in:CUSTOM_FAST,HW_CPU_X86_AVX", id="any of some traits"),
    ],
)
def test_each_filter_has_its_first_version(cloud: Cloud, before: str, since: str, query: str) -> None:
    assert query.partition("=")[0] in cloud.refusal(before, query)
    cloud.names(since, query)


def test_1_3_in_an_aggregate(cloud: Cloud) -> None:
    assert cloud.names("1.3", f"member_of={NORTH}") == ["big"]
    assert cloud.names("1.3", f"member_of={SOUTH}") == ["big", "small"]
    assert cloud.names("1.3", f"member_of=in:{NORTH},{NOWHERE}") == ["big"]
    assert cloud.names("1.3", f"member_of={NOWHERE}") == []
    for wrong in ("", "north", "in:", f"{NORTH},{SOUTH}", f"in:{NORTH},", f"in:{NORTH},south"):
        assert "member_of" in cloud.refusal("1.3", f"member_of={wrong}")


def test_1_4_with_room_for_resources(cloud: Cloud) -> None:
    """What is left counts, by reserved and allocation ratio, and min_unit, max_unit and step_size hold."""
    assert cloud.names("1.4", "resources=VCPU:4") == ["big", "small"]
    assert cloud.names("1.4", "resources=VCPU:3") == ["small"]
    assert cloud.names("1.4", "resources=VCPU:8") == ["big"]
    assert cloud.names("1.4", "resources=VCPU:12") == []
    assert cloud.names("1.4", "resources=VCPU:1,DISK_GB:60") == ["small"]
    assert cloud.names("1.4", "resources=VCPU:1,DISK_GB:61") == []
    cloud.placement.claim(str(uuid.uuid4()), {cloud.small: {"VCPU": 2}})
    assert cloud.names("1.4", "resources=VCPU:3") == []
    for wrong in ("", "VCPU", "VCPU:", "VCPU:0", "VCPU:-1", "VCPU:x", "VCPU:1,", ":1", "VCPU:1:1", "NOPE:1", "vcpu:1"):
        assert "resource" in cloud.refusal("1.4", f"resources={wrong}")


def test_1_14_in_the_tree_of_a_provider(cloud: Cloud) -> None:
    for member in (cloud.big, cloud.node):
        assert cloud.names("1.14", f"in_tree={member}") == ["big", "node"]
    assert cloud.names("1.14", f"in_tree={cloud.small}") == ["small"]
    assert cloud.names("1.14", f"in_tree={NOWHERE}") == []
    assert "in_tree" in cloud.refusal("1.14", "in_tree=big")


def test_1_18_with_traits(cloud: Cloud) -> None:
    assert cloud.names("1.18", "required=CUSTOM_FAST") == ["big", "node"]
    assert cloud.names("1.18", "required=CUSTOM_FAST,HW_CPU_X86_AVX") == ["big"]
    for wrong in ("", "CUSTOM_FAST,", "CUSTOM_NOPE", "custom_fast"):
        cloud.refusal("1.18", f"required={wrong}")


def test_1_22_without_traits(cloud: Cloud) -> None:
    assert cloud.names("1.22", "required=!CUSTOM_FAST") == ["empty", "small"]
    assert cloud.names("1.22", "required=CUSTOM_FAST,!HW_CPU_X86_AVX") == ["node"]
    cloud.refusal("1.22", "required=!")


def test_1_24_in_each_of_several_aggregates(cloud: Cloud) -> None:
    assert cloud.names("1.24", f"member_of={NORTH}&member_of={SOUTH}") == ["big"]
    assert cloud.names("1.24", f"member_of=in:{NORTH},{NOWHERE}&member_of={SOUTH}") == ["big"]
    assert cloud.names("1.24", f"member_of={NORTH}&member_of={NOWHERE}") == []


def test_1_32_in_none_of_some_aggregates(cloud: Cloud) -> None:
    assert cloud.names("1.32", f"member_of=!{NORTH}") == ["empty", "node", "small"]
    assert cloud.names("1.32", f"member_of=!in:{NORTH},{SOUTH}") == ["empty", "node"]
    assert cloud.names("1.32", f"member_of={SOUTH}&member_of=!{NORTH}") == ["small"]
    for wrong in ("!", "!in:", "in:!" + NORTH, "!!" + NORTH):
        cloud.refusal("1.32", f"member_of={wrong}")


def test_1_39_with_one_of_some_traits(cloud: Cloud) -> None:
    assert cloud.names("1.39", "required=in:HW_CPU_X86_AVX,HW_CPU_X86_SSE") == ["big"]
    assert cloud.names("1.39", "required=in:CUSTOM_FAST,HW_CPU_X86_SSE&required=!HW_CPU_X86_AVX") == ["node"]
    assert cloud.names("1.39", "required=CUSTOM_FAST&required=HW_CPU_X86_AVX") == ["big"]
    for wrong in ("in:", "in:CUSTOM_FAST,", "in:CUSTOM_FAST,!HW_CPU_X86_AVX", "in:CUSTOM_NOPE"):
        cloud.refusal("1.39", f"required={wrong}")


def test_all_filters_hold_together(cloud: Cloud) -> None:
    query = f"resources=VCPU:4&member_of={SOUTH}&required=CUSTOM_FAST&in_tree={cloud.node}&name=big"
    assert cloud.names("1.39", query) == ["big"]
    assert cloud.names("1.39", query.replace("VCPU:4", "DISK_GB:1")) == []
