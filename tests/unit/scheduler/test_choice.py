"""Weighing, picking and asking: pure decisions on values."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite import config
from nova_lite.model.candidates import Candidates
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.server_group import Company
from nova_lite.scheduler import pick
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.weighers import WEIGHERS, weigh

HOST = HostState("cell", "host1", "node-1", "host1", is_up=True, is_disabled=False, free_ram_mib=100, free_vcpus=4)
SOUGHT = Sought(RequestSpec("project", "user", Flavor("1", "tiny", 1, 512, 1), "image"))
#: As configured by default.
MULTIPLIERS = {name: config.load(files=[]).filter_scheduler[f"{name}_weight_multiplier"] for name in WEIGHERS}
OFFERS = {f"node-{number}": {f"node-{number}": {"VCPU": 2}} for number in range(1, 6)}


def _hosts() -> st.SearchStrategy[list[HostState]]:
    amounts = st.floats(min_value=-1e6, max_value=1e9, allow_nan=False)
    host = st.builds(
        HostState,
        cell_id=st.just("cell"),
        host=st.text(min_size=1),
        node=st.uuids().map(str),
        node_name=st.text(),
        is_up=st.booleans(),
        is_disabled=st.booleans(),
        free_vcpus=amounts,
        free_ram_mib=amounts,
        free_disk_gib=amounts,
        building=st.integers(0, 1000),
    )
    return st.lists(host, max_size=20)


@given(_hosts())
def test_weighing_keeps_every_host_and_orders_them(hosts: list[HostState]) -> None:
    ranking = weigh(hosts, SOUGHT, MULTIPLIERS)
    assert sorted(host.node for host, _ in ranking) == sorted(host.node for host in hosts)
    weights = [weight for _, weight in ranking]
    assert weights == sorted(weights, reverse=True)
    most = sum(multiplier for multiplier in MULTIPLIERS.values() if multiplier > 0)
    assert all(-1 - 1e-6 <= weight <= most + 1e-6 for weight in weights)


@pytest.mark.parametrize(
    "better",
    [
        pytest.param({"free_ram_mib": 200}, id="more memory"),
        pytest.param({"free_vcpus": 8}, id="more CPUs"),
        pytest.param({"free_disk_gib": 8}, id="more disk"),
        pytest.param({"building": -1}, id="fewer builds"),
        pytest.param({"failed_builds": -1, "free_ram_mib": 1}, id="fewer failures, whatever else it has"),
    ],
)
def test_the_better_host_wins(better: dict[str, float]) -> None:
    winner = replace(HOST, host="winner", **better)  # type: ignore[arg-type]
    for hosts in ([HOST, winner], [winner, HOST]):
        assert weigh(hosts, SOUGHT, MULTIPLIERS)[0][0] == winner


def test_equal_hosts_keep_their_order() -> None:
    hosts = [replace(HOST, host=name) for name in "cab"]
    assert [host.host for host, _ in weigh(hosts, SOUGHT, MULTIPLIERS)] == ["c", "a", "b"]


@pytest.mark.parametrize(("policy", "best"), [("soft-affinity", "b"), ("soft-anti-affinity", "c"), ("affinity", "a")])
def test_a_soft_policy_is_a_weight(policy: str, best: str) -> None:
    hosts = [replace(HOST, host=name) for name in "abc"]
    sought = replace(SOUGHT, company=Company(policy, hosts={"a": 1, "b": 2}))
    assert weigh(hosts, sought, MULTIPLIERS)[0][0].host == best


def test_what_counts_nothing_is_not_weighed() -> None:
    hosts = [replace(HOST, host="a"), replace(HOST, host="b", free_ram_mib=1000)]
    assert [weight for _, weight in weigh(hosts, SOUGHT, {"ram": 0.0})] == [0.0, 0.0]
    assert weigh(hosts, SOUGHT, {"ram": -1.0})[0][0].host == "a"


def test_alternates_are_of_the_same_cell_and_other_nodes() -> None:
    ranking = [
        replace(HOST, node="node-1"),
        replace(HOST, node="node-2", cell_id="other"),
        *(replace(HOST, node=f"node-{number}", host=f"host{number}") for number in (3, 4, 5)),
    ]
    found = pick.alternates(ranking[0], ranking, OFFERS, 2)
    assert [one.node for one in found] == ["node-3", "node-4"]
    assert found[0].allocations == {"node-3": {"VCPU": 2}}
    assert pick.alternates(ranking[0], ranking, OFFERS, 0) == []


def _candidates(requests: list[Any], summaries: Mapping[str, object]) -> Candidates:
    return msgspec.convert({"allocation_requests": requests, "provider_summaries": summaries}, Candidates)


def test_offers_are_the_first_of_each_root() -> None:
    requests = [
        {"allocations": {"child": {"resources": {"VCPU": 1}}, "root": {"resources": {"DISK_GB": 1}}}},
        {"allocations": {"root": {"resources": {"VCPU": 9}}}},
        {"allocations": {"other": {"resources": {"VCPU": 1}}}},
    ]
    roots = {"child": "root", "root": "root", "other": "other"}
    summaries = {uuid: {"root_provider_uuid": root, "resources": {}} for uuid, root in roots.items()}
    assert pick.offers_by_root(_candidates(requests, summaries)) == {
        "root": {"child": {"VCPU": 1}, "root": {"DISK_GB": 1}},
        "other": {"other": {"VCPU": 1}},
    }


def test_room_is_that_of_whole_trees() -> None:
    def summary(root: str, **free: int) -> dict[str, object]:
        rows = {name: {"capacity": amount + 3, "used": 3} for name, amount in free.items()}
        return {"root_provider_uuid": root, "resources": rows}

    summaries = {
        "root": summary("root", DISK_GB=7),
        "cell-a": summary("root", VCPU=2, MEMORY_MB=10),
        "cell-b": summary("root", VCPU=4),
        "pool": summary("pool", DISK_GB=1000),
    }
    found = pick.room_by_root(["root"], _candidates([], summaries))
    assert found == {"root": {"DISK_GB": 7, "VCPU": 6, "MEMORY_MB": 10}}
