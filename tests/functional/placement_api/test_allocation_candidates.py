"""Allocation candidates, as a client sees them; that none is missing or wrong is the oracle's to say (unit tests)."""

import uuid
from typing import Any

import pytest

from tests.functional.placement_api.conftest import Client

URL = "/allocation_candidates"


def ask(placement: Client, query: str) -> list[dict[str, dict[str, int]]]:
    """Return each candidate as provider → resources."""
    answer = placement.get(f"{URL}?{query}")
    assert answer.status_code == 200, answer.text
    return [
        {provider: entry["resources"] for provider, entry in request["allocations"].items()}
        for request in answer.json["allocation_requests"]
    ]


def test_flat_hosts(placement: Client) -> None:
    aggregate = str(uuid.uuid4())
    hosts = [placement.provider(f"host-{n}", {"VCPU": 4, "MEMORY_MB": 1024 * (n + 1)}) for n in range(3)]
    placement.set_traits(hosts[1], "CUSTOM_GOLD")
    placement.set_aggregates(hosts[2], aggregate)

    def where(query: str) -> set[str]:
        return {next(iter(candidate)) for candidate in ask(placement, f"resources=VCPU:1,MEMORY_MB:512{query}")}

    assert where("") == set(hosts)
    assert where("&required=CUSTOM_GOLD") == {hosts[1]}
    assert where("&required=!CUSTOM_GOLD") == {hosts[0], hosts[2]}
    assert where(f"&member_of={aggregate}") == {hosts[2]}
    assert where(f"&member_of=!{aggregate}") == {hosts[0], hosts[1]}
    assert where(f"&in_tree={hosts[0]}") == {hosts[0]}
    assert where("&root_required=CUSTOM_GOLD") == {hosts[1]}
    assert len(where("&limit=2")) == 2
    assert ask(placement, "resources=MEMORY_MB:2048") == [
        {hosts[1]: {"MEMORY_MB": 2048}},
        {hosts[2]: {"MEMORY_MB": 2048}},
    ]
    assert ask(placement, "resources=VCPU:5") == []


def test_whole_answer(placement: Client) -> None:
    root = placement.provider("root", {"VCPU": {"total": 4, "allocation_ratio": 2.0}})
    child = placement.provider("child", {"VGPU": 2}, parent=root)
    placement.set_traits(root, "HW_CPU_X86_AVX")
    answer = placement.get(f"{URL}?resources=VCPU:1&resources1=VGPU:1&limit=1").json
    assert answer["allocation_requests"] == [
        {
            "allocations": {root: {"resources": {"VCPU": 1}}, child: {"resources": {"VGPU": 1}}},
            "mappings": {"": [root], "1": [child]},
        }
    ]
    assert answer["provider_summaries"] == {
        root: {
            "resources": {"VCPU": {"capacity": 8, "used": 0}},
            "traits": ["HW_CPU_X86_AVX"],
            "parent_provider_uuid": None,
            "root_provider_uuid": root,
        },
        child: {
            "resources": {"VGPU": {"capacity": 2, "used": 0}},
            "traits": [],
            "parent_provider_uuid": root,
            "root_provider_uuid": root,
        },
    }
    old = placement.at("1.10").get(f"{URL}?resources=VCPU:1").json
    assert old == {
        "allocation_requests": [{"allocations": [{"resource_provider": {"uuid": root}, "resources": {"VCPU": 1}}]}],
        "provider_summaries": {root: {"resources": {"VCPU": {"capacity": 8, "used": 0}}}},
    }
    assert placement.at("1.28").get(f"{URL}?resources=VCPU:1,VGPU:1").json["allocation_requests"] == []


def test_shared_disk(placement: Client) -> None:
    aggregate = str(uuid.uuid4())
    pool = placement.provider("pool", {"DISK_GB": 2000})
    placement.set_traits(pool, "MISC_SHARES_VIA_AGGREGATE")
    placement.set_aggregates(pool, aggregate)
    hosts = [placement.provider(f"host-{n}", {"VCPU": 40}) for n in range(2)]
    for host in hosts:
        placement.set_aggregates(host, aggregate)
    placement.provider("lonely", {"VCPU": 40})
    query = "resources=VCPU:1,DISK_GB:100"
    expected = [{host: {"VCPU": 1}, pool: {"DISK_GB": 100}} for host in hosts]
    assert sorted(ask(placement, query), key=str) == sorted(expected, key=str)
    for number in range(20):
        chosen: Any = ask(placement, query)[0]
        assert placement.claim(str(uuid.uuid4()), chosen).status_code == 204, number
    assert ask(placement, query) == []
    assert placement.used(pool) == {"DISK_GB": 2000}


def test_group_policy_and_subtree(placement: Client) -> None:
    root = placement.provider("root", {"VCPU": 8})
    numas = [placement.provider(f"numa-{n}", {"MEMORY_MB": 100}, parent=root) for n in range(2)]
    gpus = [placement.provider(f"gpu-{n}", {"VGPU": 2}, parent=numa) for n, numa in enumerate(numas)]
    both = "resources1=VGPU:1&resources2=VGPU:1"
    assert len(ask(placement, f"{both}&group_policy=none")) == 4
    assert len(ask(placement, f"{both}&group_policy=isolate")) == 2
    pinned = ask(placement, "resources_A=MEMORY_MB:1&resources_B=VGPU:1&group_policy=none&same_subtree=_A,_B")
    assert pinned == [{numa: {"MEMORY_MB": 1}, gpu: {"VGPU": 1}} for numa, gpu in zip(numas, gpus, strict=True)]


def test_wide_tree_answers_a_few_at_once(placement: Client) -> None:
    """Eight groups over eight children have 40,320 isolated and 16 million other ways; asked are ten."""
    root = placement.provider("root", {"VCPU": 8})
    for number in range(8):
        placement.provider(f"pf-{number}", {"SRIOV_NET_VF": 8}, parent=root)
    groups = "&".join(f"resources{number}=SRIOV_NET_VF:1" for number in range(1, 9))
    for policy in ("isolate", "none"):
        assert len(ask(placement, f"{groups}&group_policy={policy}&limit=10")) == 10
    nine = f"{groups}&resources9=SRIOV_NET_VF:1&group_policy=isolate&limit=10"
    assert ask(placement, nine) == []


def test_more_than_anybody_has_finds_nobody(placement: Client) -> None:
    placement.provider("host", {"VCPU": 8})
    most = 2**63 - 1
    assert ask(placement, f"resources=VCPU:{most}") == []
    assert ask(placement, f"resources1=VCPU:{most}&resources2=VCPU:{most}&group_policy=none") == []


def test_of_a_repeated_parameter_the_last_counts(placement: Client) -> None:
    """Only what may be combined is: member_of from 1.24, required from 1.39; root_required must come once."""
    small, large = placement.provider("small", {"VCPU": 2}), placement.provider("large", {"VCPU": 8})
    assert ask(placement, "resources=VCPU:1&resources=VCPU:4") == [{large: {"VCPU": 4}}]
    assert len(ask(placement, "resources=VCPU:1&limit=1&limit=5")) == 2
    placement.set_traits(small, "CUSTOM_A", "CUSTOM_B")
    placement.set_traits(large, "CUSTOM_B")
    twice = "resources=VCPU:1&required=CUSTOM_A&required=CUSTOM_B"
    assert len(ask(placement.at("1.38"), twice)) == 2
    assert ask(placement, twice) == [{small: {"VCPU": 1}}]
    answer = placement.get(f"{URL}?resources=VCPU:1&root_required=CUSTOM_A&root_required=CUSTOM_B")
    assert answer.status_code == 400
    assert answer.json["errors"][0]["code"] == "placement.query.duplicate_key"
    members = f"resources=VCPU:1&member_of={uuid.uuid4()}&member_of={uuid.uuid4()}"
    assert placement.at("1.23").get(f"{URL}?{members}").status_code == 400
    assert ask(placement.at("1.24"), members) == []


def test_group_without_resources_needs_a_trait_or_an_aggregate(placement: Client) -> None:
    """What a group does not ask for, and nobody must have, matches nobody."""
    root = placement.provider("root", {"VCPU": 2})
    placement.set_traits(root, "CUSTOM_A")
    near = "resources_A=VCPU:1&same_subtree=_A,_B&group_policy=none"
    assert len(ask(placement, f"{near}&required_B=CUSTOM_A")) == 1
    assert ask(placement, f"{near}&required_B=!HW_CPU_X86_AVX") == []
    assert ask(placement, f"{near}&in_tree_B={root}") == []
    assert ask(placement, f"{near}&required_B=CUSTOM_A".replace("none", "isolate")) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("", "resources", id="nothing"),
        pytest.param("resources=VCPU", "resources", id="no amount"),
        pytest.param("resources=VCPU:-1", "resources", id="negative"),
        pytest.param("resources=VCPU:9223372036854775808", "resources", id="beyond 64 bits"),
        pytest.param("resources=VCPU:1,VCPU:2", "resources", id="twice"),
        pytest.param("resources=NOPE:1", "NOPE", id="unknown class"),
        pytest.param("resources=VCPU:1&required=NOPE", "NOPE", id="unknown trait"),
        pytest.param("resources=VCPU:1&required=HW_CPU_X86_AVX,!HW_CPU_X86_AVX", "required", id="both ways"),
        pytest.param("resources=VCPU:1&limit=0", "limit", id="no limit"),
        pytest.param("resources=VCPU:1&limit=x", "limit", id="limit in words"),
        pytest.param("resources=VCPU:1&member_of=7", "member_of", id="no aggregate"),
        pytest.param("resources=VCPU:1&in_tree=7", "in_tree", id="no tree"),
        pytest.param("resources1=VCPU:1&resources2=VCPU:1", "group_policy", id="no policy"),
        pytest.param("resources=VCPU:1&group_policy=all", "group_policy", id="unknown policy"),
        pytest.param("resources=VCPU:1&required1=HW_CPU_X86_AVX", "resources1", id="group without resources"),
        pytest.param("resources1=VCPU:1&same_subtree=1,9", "same_subtree", id="subtree of no group"),
        pytest.param("resources=VCPU:1&colour=red", "colour", id="unknown parameter"),
        pytest.param("resources=VCPU:1&root_required=NOPE", "root_required", id="unknown root trait"),
    ],
)
def test_bad_queries_name_the_field(placement: Client, query: str, field: str) -> None:
    answer = placement.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert field in answer.json["errors"][0]["detail"]
