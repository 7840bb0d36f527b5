"""Candidates against an oracle that tries everything, on small random forests."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from nova_lite.placement.candidates import candidates
from nova_lite.placement.capacity import refusal
from nova_lite.placement.model import SHARES, Candidate, Group, Inventory, Provider, ProviderFilter, Request
from nova_lite.placement.snapshot import Snapshot

CLASSES = ("VCPU", "DISK_GB")
TRAITS = ("CUSTOM_A", "CUSTOM_B", SHARES)
AGGREGATES = ("agg-1", "agg-2")

Way = tuple[frozenset[tuple[str, str, int]], frozenset[tuple[str, frozenset[str]]]]


def way_of(candidate: Candidate) -> Way:
    """Return a candidate as a value that compares."""
    allocations = frozenset(
        (uuid, name, amount) for uuid, amounts in candidate.allocations.items() for name, amount in amounts.items()
    )
    return allocations, frozenset((suffix, frozenset(uuids)) for suffix, uuids in candidate.mappings.items())


class Oracle:
    """Tries every provider for every point, and judges each whole choice by the words of the API."""

    def __init__(self, request: Request, providers: list[Provider]) -> None:
        self.request = request
        self.providers = providers
        self.by_id = {provider.id: provider for provider in providers}

    def ways(self) -> set[Way]:
        points = [
            (group, {name: amount})
            for group in self.request.groups
            if not group.suffix
            for name, amount in group.resources.items()
        ] + [(group, dict(group.resources)) for group in self.request.groups if group.suffix]
        found = set()
        for root in (provider for provider in self.providers if provider.id == provider.root_id):
            if not self.request.root_required <= root.traits or self.request.root_forbidden & root.traits:
                continue
            reachable = [p for p in self.providers if p.root_id == root.id or self.shares_with(p, root)]
            for chosen in itertools.product(reachable, repeat=len(points)):
                picks = [(group, asked, provider) for (group, asked), provider in zip(points, chosen, strict=True)]
                if self.good(picks):
                    found.add(self.way(picks))
        return found

    def shares_with(self, provider: Provider, root: Provider) -> bool:
        return SHARES in provider.traits and any(
            provider.aggregates & member.aggregates for member in self.providers if member.root_id == root.id
        )

    def good(self, picks: list[tuple[Group, dict[str, int], Provider]]) -> bool:
        sums: dict[tuple[int, str], int] = {}
        for group, asked, provider in picks:
            if not self.meets(group, provider):
                return False
            for name, amount in asked.items():
                inventory = provider.inventories.get(name)
                if inventory is None or refusal(inventory, amount):
                    return False
                sums[provider.id, name] = sums.get((provider.id, name), 0) + amount
        for (provider_id, name), amount in sums.items():
            inventory = self.by_id[provider_id].inventories[name]
            free = (inventory.total - inventory.reserved) * inventory.allocation_ratio - inventory.used
            if amount > free or amount > inventory.max_unit:
                return False
        return self.good_together(picks)

    def good_together(self, picks: list[tuple[Group, dict[str, int], Provider]]) -> bool:
        together = frozenset().union(*(p.traits for group, _, p in picks if not group.suffix))
        for group in self.request.groups:
            if not group.suffix and any(not any_of & together for any_of in group.where.required):
                return False
        alone = [provider.id for group, _, provider in picks if group.suffix]
        if self.request.isolate and len(set(alone)) != len(alone):
            return False
        if not self.request.nested:
            ids = {provider.id for _, _, provider in picks}
            if len({self.by_id[i].root_id for i in ids}) != len(ids):
                return False
        return all(
            self.one_above_all({provider.id for group, _, provider in picks if group.suffix in suffixes})
            for suffixes in self.request.same_subtrees
        )

    def one_above_all(self, ids: set[int]) -> bool:
        return any(all(top in set(self.line(below)) for below in ids) for top in ids)

    def line(self, provider_id: int | None) -> Iterator[int]:
        while provider_id is not None:
            yield provider_id
            provider_id = self.by_id[provider_id].parent_id

    def meets(self, group: Group, provider: Provider) -> bool:
        where = group.where
        if not (group.resources or where.required or where.member_of):
            return False
        homes = [provider.aggregates]
        if not group.suffix:
            homes.append(self.by_id[provider.root_id].aggregates)
        elif any(not any_of & provider.traits for any_of in where.required):
            return False
        if where.in_tree is not None:
            trees = {other.root_id for other in self.providers if other.uuid == where.in_tree}
            if provider.root_id not in trees:
                return False
        return (
            not where.forbidden & provider.traits
            and any(all(any_of & home for any_of in where.member_of) for home in homes)
            and not any(where.forbidden_aggregates & home for home in homes)
        )

    @staticmethod
    def way(picks: list[tuple[Group, dict[str, int], Provider]]) -> Way:
        sums: dict[tuple[str, str], int] = {}
        served: dict[str, set[str]] = {}
        for group, asked, provider in picks:
            served.setdefault(group.suffix, set()).add(provider.uuid)
            for name, amount in asked.items():
                sums[provider.uuid, name] = sums.get((provider.uuid, name), 0) + amount
        return (
            frozenset((uuid, name, amount) for (uuid, name), amount in sums.items()),
            frozenset((suffix, frozenset(uuids)) for suffix, uuids in served.items()),
        )


def subsets(values: tuple[str, ...], smallest: int = 0) -> st.SearchStrategy[frozenset[str]]:
    sizes = range(smallest, 3)
    return st.sampled_from([frozenset(some) for size in sizes for some in itertools.combinations(values, size)])


@st.composite
def inventories(draw: st.DrawFn) -> Mapping[str, Inventory]:
    chosen = draw(st.sampled_from([("VCPU",), ("DISK_GB",), CLASSES, CLASSES, ()]))
    return {
        name: Inventory(
            total=draw(st.integers(2, 8)),
            reserved=0,
            min_unit=draw(st.sampled_from([1, 1, 1, 2])),
            max_unit=draw(st.integers(2, 6)),
            step_size=draw(st.sampled_from([1, 1, 2])),
            allocation_ratio=draw(st.sampled_from([1.0, 1.5])),
            used=draw(st.integers(0, 2)),
        )
        for name in chosen
    }


@st.composite
def forests(draw: st.DrawFn) -> list[Provider]:
    providers: list[Provider] = []
    for number in range(1, draw(st.integers(3, 6)) + 1):
        parent = draw(st.sampled_from([None, *providers]))
        providers.append(
            Provider(
                id=number,
                uuid=f"provider-{number}",
                name=f"name-{number}",
                generation=0,
                parent_id=None if parent is None else parent.id,
                root_id=number if parent is None else parent.root_id,
                updated_at=0.0,
                inventories=draw(inventories()),
                traits=draw(subsets(TRAITS)),
                aggregates=draw(subsets(AGGREGATES)),
            )
        )
    return providers


@st.composite
def filters(draw: st.DrawFn) -> ProviderFilter:
    if draw(st.sampled_from([True, True, False])):
        return ProviderFilter()
    some = st.lists(subsets(TRAITS, 1), max_size=2).map(tuple)
    places = st.one_of(st.just(()), st.just(()), st.lists(subsets(AGGREGATES, 1), max_size=2).map(tuple))
    return ProviderFilter(
        required=draw(some),
        forbidden=draw(st.sampled_from([frozenset[str](), frozenset(["CUSTOM_B"])])),
        member_of=draw(places),
        forbidden_aggregates=draw(st.sampled_from([frozenset[str](), frozenset(["agg-2"])])),
        in_tree=draw(st.sampled_from([None, None, None, "provider-1", "provider-1", "nobody"])),
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    isolate: bool = draw(st.booleans())
    amounts = st.sampled_from([("VCPU",), ("DISK_GB",), CLASSES]).flatmap(
        lambda names: st.fixed_dictionaries({name: st.integers(1, 2) for name in names})
    )
    suffixes = draw(
        st.sampled_from([("",), ("", "1"), ("1",), ("1", "2"), ("", "1", "2"), ("", "_X"), ("1", "2", "3")])
    )
    groups = [Group(suffix, draw(amounts), draw(filters())) for suffix in suffixes]
    named = [suffix for suffix in suffixes if suffix]
    if named and len(groups) > 1 and draw(st.booleans()):
        # A group without resources: a place for the others to be near to.
        bare = groups[-1]
        groups[-1] = Group(bare.suffix, {}, bare.where)
    subtrees = draw(st.sampled_from([(), (), (frozenset(named),), (frozenset(named[:2]), frozenset(named[-2:]))]))
    return Request(
        groups=tuple(groups),
        isolate=isolate,
        root_required=draw(st.sampled_from([frozenset[str](), frozenset[str](), frozenset(["CUSTOM_A"])])),
        root_forbidden=draw(st.sampled_from([frozenset[str](), frozenset(["CUSTOM_B"])])),
        same_subtrees=subtrees if named else (),
        nested=draw(st.sampled_from([True, True, True, False])),
    )


@settings(max_examples=400, deadline=None, derandomize=True)
@given(forests(), requests(), st.integers(1, 3))
def test_same_ways_as_trying_everything(providers: list[Provider], request: Request, limit: int) -> None:
    snapshot = Snapshot(providers)
    found = [way_of(candidate) for candidate in candidates(request, snapshot)]
    assert len(found) == len(set(found))
    assert set(found) == Oracle(request, providers).ways()

    limited = [way_of(candidate) for candidate in candidates(replace(request, limit=limit), snapshot)]
    assert len(limited) == min(limit, len(found))
    assert set(limited) <= set(found)

    for other in (
        candidates(request, snapshot, breadth_first=False),
        candidates(request, snapshot, shuffled=random.Random(limit)),
    ):
        assert Counter(map(way_of, other)) == Counter(found)


def test_oracle_examples_are_not_empty() -> None:
    """The comparison above means something only if random requests often can be met."""
    outcomes: list[bool] = []

    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(forests(), requests())
    def collect(providers: list[Provider], request: Request) -> None:
        outcomes.append(bool(Oracle(request, providers).ways()))

    collect()
    assert sum(outcomes) >= 25


def wide_tree(children: int, units: int) -> Snapshot:
    root = Provider(1, "root", "root", 0, None, 1, 0.0)
    return Snapshot(
        [root]
        + [
            Provider(n, f"child-{n}", f"child-{n}", 0, 1, 1, 0.0, {"VF": Inventory(total=units)})
            for n in range(2, children + 2)
        ]
    )


def test_wide_tree_with_no_way_ends_soon() -> None:
    """Thirty-one groups over thirty children: a plain search would never come back from the dead ends."""
    groups = tuple(Group(str(number), {"VF": 1}) for number in range(31))
    snapshot = wide_tree(children=30, units=1)
    assert list(candidates(Request(groups, isolate=True), snapshot)) == []
    assert list(candidates(Request(groups, isolate=False), snapshot)) == []


def test_as_many_groups_as_a_query_can_name() -> None:
    """The search does not recurse: a thousand groups are no deeper than one."""
    groups = tuple(Group(str(number), {"VF": 1}) for number in range(1000))
    [candidate] = candidates(Request(groups, limit=1), wide_tree(children=1, units=1000))
    assert candidate.allocations == {"child-2": {"VF": 1000}}
    assert len(candidate.mappings) == 1000


def test_limit_is_reached_with_many_trees() -> None:
    """Ten hosts with four ways each: ten candidates are of ten hosts."""
    providers = []
    for host in range(10):
        root_id = host * 10 + 1
        providers.append(Provider(root_id, f"h{host}", f"h{host}", 0, None, root_id, 0.0, {"VCPU": Inventory(4)}))
        providers += [
            Provider(root_id + n, f"h{host}-{n}", f"h{host}-{n}", 0, root_id, root_id, 0.0, {"VF": Inventory(4)})
            for n in range(1, 5)
        ]
    request = Request((Group("", {"VCPU": 1}), Group("1", {"VF": 1})), limit=10)
    assert len({candidate.uuids[0] for candidate in candidates(request, Snapshot(providers))}) == 10
