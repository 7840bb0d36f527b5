"""What is measured, and the goals: a ratio of the real one's cost to ours. Data only."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.placement.clouds import ACCELERATOR, TRAIT, host, uuid_of
from benchmarks.placement.wire import request

#: Limits of the candidates that are asked for at every size.
LIMITS = (10, 1000)
#: How many sizes of the flat cloud there are; the real one is not asked about the last.
SIZES = (100, 1_000, 10_000, 100_000)
_FLAVOR = "resources=VCPU:1,MEMORY_MB:512,DISK_GB:1"


@dataclass(frozen=True, slots=True)
class Goal:
    """``at_least`` this ratio, taken ``by`` CPU per request, median wait, or answers per second."""

    at_least: float
    by: str = "cpu"


@dataclass(frozen=True, slots=True)
class Case:
    """Requests to send in turn, all of them reads."""

    name: str
    requests: Sequence[bytes]
    goal: Goal | None = None


def _candidates(name: str, query: str, goal: Goal | None = None) -> Case:
    return Case(name, (request("GET", f"/allocation_candidates?{query}"),), goal)


#: (size, limit) → goal. At 10,000 hosts the wait is compared.
_CANDIDATES = {
    (1_000, 10): Goal(60),
    (1_000, 1000): Goal(12),
    (10_000, 10): Goal(200, "wall"),
    (10_000, 1000): Goal(25, "wall"),
}
CLAIM = {1_000: Goal(20), 10_000: Goal(100)}
PUT_ALLOCATIONS = Goal(5)
LOADING = Goal(3)
HOT = Goal(10, "rate")
MEMORY = Goal(1, "memory")
#: Seconds that a worker's first request may take with 10,000 providers.
FIRST_REQUEST_S = 1.0
#: How much more reading after some changes may cost with a hundred times the providers.
SNAPSHOT_GROWTH = 2.0


def flat_candidates(size: int) -> list[Case]:
    """Return the cases about candidates in the flat cloud of ``size`` hosts."""
    cases = [
        _candidates(f"candidates {size} limit {limit}", f"{_FLAVOR}&limit={limit}", _CANDIDATES.get((size, limit)))
        for limit in LIMITS
    ]
    goal = Goal(15) if size == 1_000 else None
    if size <= 1_000:
        zone = uuid_of("zone-0")
        cases.append(_candidates(f"candidates {size} trait", f"{_FLAVOR}&required={TRAIT}", goal))
        query = f"{_FLAVOR}&required={TRAIT}&member_of={zone}"
        cases.append(_candidates(f"candidates {size} trait member_of", query, goal))
    return cases


def single_reads(size: int) -> list[Case]:
    """Return the cases that read one provider of the flat cloud, another one each time."""
    urls = [f"/resource_providers/{host(number).uuid}" for number in range(0, size, max(1, size // 50))]
    return [
        Case(f"GET {noun}", [request("GET", f"{url}{path}") for url in urls], Goal(2.5))
        for noun, path in (
            ("provider", ""),
            ("inventories", "/inventories"),
            ("usages", "/usages"),
            ("allocations", "/allocations"),
        )
    ]


def nested(trees: int) -> list[Case]:
    """Return the cases about trees of five: CPUs and a card's function from the same NUMA node's subtree."""
    query = (
        "resources_NODE=VCPU:2,MEMORY_MB:1024&resources_NET=SRIOV_NET_VF:1&group_policy=isolate&same_subtree=_NODE,_NET"
    )
    goal = Goal(50) if trees == 500 else None
    return [
        _candidates(f"granular {trees} trees limit 10", f"{query}&limit=10", goal),
        _candidates(f"granular {trees} trees", query),
    ]


def sharing(hosts: int) -> list[Case]:
    """Return the cases about hosts that share pools of disks."""
    return [
        _candidates(f"sharing {hosts} limit 10", f"{_FLAVOR}&limit=10"),
        _candidates(f"sharing {hosts} limit 1000", f"{_FLAVOR}&limit=1000"),
    ]


def wide(children: int, groups: int, limit: int = 1000) -> Case:
    """Return the case of ``groups`` groups that may each go to any of ``children``."""
    parts = [f"resources{number}={ACCELERATOR}:1" for number in range(1, groups + 1)]
    query = "&".join(["resources=VCPU:1,MEMORY_MB:512", *parts, "group_policy=none", f"limit={limit}"])
    goal = Goal(500, "wall") if (children, groups) == (8, 6) else None
    return _candidates(f"wide {children} x {groups} limit {limit}", query, goal)


def claim_query(limit: int = 10) -> bytes:
    """Return the question before a claim."""
    return request("GET", f"/allocation_candidates?{_FLAVOR}&limit={limit}")
