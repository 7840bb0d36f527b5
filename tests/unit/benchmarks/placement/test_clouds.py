"""The measured clouds are what the cases suppose."""

from collections import Counter

import pytest

from benchmarks.placement import clouds
from benchmarks.placement.clouds import Cloud


@pytest.mark.parametrize(
    "cloud",
    [
        pytest.param(clouds.flat(0, 50), id="flat"),
        pytest.param(clouds.nested(3), id="nested"),
        pytest.param(clouds.sharing(45), id="sharing"),
        pytest.param(clouds.wide(8), id="wide"),
        pytest.param(clouds.hot(4), id="hot"),
        pytest.param(clouds.small(8, 16), id="small"),
    ],
)
def test_names_are_single_and_parents_come_one_level_above(cloud: Cloud) -> None:
    levels = {provider.name: provider.level for provider in cloud.providers}
    assert len(levels) == len(cloud.providers)
    for provider in cloud.providers:
        assert provider.level == (0 if provider.parent is None else levels[provider.parent] + 1)


def test_a_flat_cloud_is_the_same_however_it_grew() -> None:
    whole = clouds.flat(0, 1000).providers
    assert clouds.flat(0, 100).providers + clouds.flat(100, 1000).providers == whole
    with_trait = [provider for provider in whole if clouds.TRAIT in provider.traits]
    zones = Counter(provider.aggregates for provider in with_trait)
    assert len(with_trait) == 200
    assert set(zones.values()) == {20}


def test_nested_trees_have_five_members_on_three_levels() -> None:
    members = clouds.nested(500).providers
    assert len(members) == 2500
    assert Counter(member.level for member in members[:5]) == {0: 1, 1: 2, 2: 2}


def test_every_rack_of_diskless_hosts_has_a_pool() -> None:
    providers = clouds.sharing(45).providers
    pools = [provider for provider in providers if "MISC_SHARES_VIA_AGGREGATE" in provider.traits]
    racks = {provider.aggregates for provider in providers if provider not in pools}
    assert {pool.aggregates for pool in pools} == racks
    assert len(pools) == 3
