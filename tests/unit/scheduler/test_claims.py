"""What a server that is somewhere already is due, over the providers of its host."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.model.candidates import Amounts, Candidate, Candidates
from nova_lite.model.flavor import Flavor
from nova_lite.scheduler import claims

FLAVOR = Flavor("1", "small", 1, 512, 1)
AMOUNTS = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}


class FakePlacement:
    """A host with one part: what its root has, and the ways there are."""

    def __init__(self, root_has: set[str], ways: list[dict[str, dict[str, int]]], *, parts: int = 1) -> None:
        self.asked: list[Mapping[str, object]] = []
        self._root_has, self._ways, self._parts = root_has, ways, parts

    def tree(self, root: str) -> list[dict[str, Any]]:
        return [{"uuid": root}, *({"uuid": f"part{number}"} for number in range(self._parts))]

    def inventories(self, provider: str) -> tuple[dict[str, Any], int]:
        return {name: {} for name in self._root_has}, 1

    def candidates(self, query: Mapping[str, object]) -> Candidates:
        self.asked.append(query)
        found = [Candidate({node: Amounts(amounts) for node, amounts in way.items()}) for way in self._ways]
        return Candidates(found, {})


def spread(placement: FakePlacement) -> object:
    return claims.Spread(cast(PlacementClient, placement))("node", AMOUNTS, FLAVOR, {})


def test_a_host_without_parts_gives_all_itself() -> None:
    placement = FakePlacement(set(), [], parts=0)
    assert spread(placement) == {"node": AMOUNTS}
    assert placement.asked == []


def test_a_host_that_has_everything_itself_gives_it_though_it_has_parts() -> None:
    assert spread(FakePlacement({*AMOUNTS, "PCPU"}, [])) == {"node": AMOUNTS}


def test_what_parts_have_is_asked_of_placement_inside_the_host() -> None:
    way = {"node": {"DISK_GB": 1}, "part0": {"VCPU": 1, "MEMORY_MB": 512}}
    placement = FakePlacement({"DISK_GB"}, [way])
    assert spread(placement) == way
    (query,) = placement.asked
    assert (query["in_tree"], query["limit"]) == ("node", 1)


def test_a_full_host_is_told() -> None:
    with pytest.raises(errors.Conflict, match="Its host has not got 1 VCPU"):
        spread(FakePlacement({"DISK_GB"}, []))


def test_what_is_due_is_known_of_flavors_that_can_be_understood() -> None:
    assert claims.due(FLAVOR, {}) == AMOUNTS
    assert claims.due(Flavor("2", "odd", 1, 1, 1, extra_specs={"resources:VCPU": "many"}), {}) is None
