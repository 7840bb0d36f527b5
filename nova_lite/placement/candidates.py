"""Where can a request go? Pure: a snapshot of the providers and a request in, candidates out, one at a time.

A request becomes *points*: places where one provider must be chosen. A suffixed group is one point, the unsuffixed
group one point per class. Trees are first thinned out by columns, all at once; what is left is searched tree by tree,
lazily and breadth first, so that a limit is reached with many hosts and without making what nobody will see.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from nova_lite.placement.model import Candidate, Group, Request
from nova_lite.placement.snapshot import Ints, Mask, Snapshot


@dataclass(frozen=True)
class _Point:
    """One provider to choose: who may be (``mask``), and what it will be asked for."""

    suffix: str
    resources: Mapping[str, int]
    mask: Mask


def candidates(request: Request, snapshot: Snapshot) -> Iterator[Candidate]:
    """Yield ways to place ``request`` on the providers of ``snapshot``, at most ``request.limit`` of them.

    Every way comes once; two ways differ in who gives what, or in which group is served by whom.
    Without a limit all ways come. Trees take turns, so the first ways are of as many trees as possible.
    Source: Placement API reference, GET /allocation_candidates, 1.10 to 1.39.
    """
    points = [point for group in request.groups for point in _points(group, snapshot)]
    shared = _shared_by_root(points, snapshot)
    roots = _possible_roots(request, points, shared, snapshot)
    searches = (_Search(request, points, int(root), shared.get(int(root), ()), snapshot).run for root in roots)
    found = _once(_in_turns(searches))
    return islice(found, request.limit) if request.limit is not None else found


def _points(group: Group, snapshot: Snapshot) -> list[_Point]:
    if group.suffix:
        mask = snapshot.matching(group.where)
        for name, amount in group.resources.items():
            mask &= snapshot.fits(name, amount)
        return [_Point(group.suffix, group.resources, mask)]
    # Required traits of the unsuffixed group may come together from all its providers; the search looks at those.
    own = _without_required(group)
    mask = snapshot.matching(own.where, whole_tree_aggregates=True)
    return [_Point("", {name: amount}, mask & snapshot.fits(name, amount)) for name, amount in group.resources.items()]


def _without_required(group: Group) -> Group:
    return replace(group, where=replace(group.where, required=()))


def _shared_by_root(points: Sequence[_Point], snapshot: Snapshot) -> dict[int, tuple[int, ...]]:
    """Return root id → slots of providers of other trees that share with that tree and could be chosen."""
    wanted = snapshot.nobody()
    for point in points:
        wanted |= point.mask
    shared: dict[int, list[int]] = {}
    for slot in snapshot.slots(snapshot.sharing() & wanted):
        home = snapshot.at(slot).root_id
        for root in snapshot.roots_sharing_with(slot):
            if int(root) != home:
                shared.setdefault(int(root), []).append(slot)
    return {root: tuple(slots) for root, slots in shared.items()}


def _possible_roots(
    request: Request, points: Sequence[_Point], shared: Mapping[int, Sequence[int]], snapshot: Snapshot
) -> Ints:
    """Return the ids of the roots where no point is without anybody to choose, oldest first."""
    possible: Ints | None = None
    for point in points:
        roots = snapshot.root_ids(point.mask)
        if shared:
            reached = [root for root, slots in shared.items() if any(point.mask[slot] for slot in slots)]
            roots = np.union1d(roots, np.array(reached, dtype=np.int64))
        possible = roots if possible is None else np.intersect1d(possible, roots, assume_unique=True)
    if possible is None:
        return np.zeros(0, dtype=np.int64)
    if request.root_required or request.root_forbidden:
        good = [
            root
            for root in possible
            if request.root_required <= (traits := snapshot.by_id(int(root)).traits)
            and not request.root_forbidden & traits
        ]
        possible = np.array(good, dtype=np.int64)
    return possible


class _Search:
    """Depth-first search through one tree; a state that led nowhere is never entered twice."""

    def __init__(
        self, request: Request, points: Sequence[_Point], root: int, shared: Sequence[int], snapshot: Snapshot
    ) -> None:
        self._request = request
        self._points = points
        self._root = root
        self._snapshot = snapshot
        tree = snapshot.slots_of_tree(root)
        self._options = [[slot for slot in (*tree, *shared) if point.mask[slot]] for point in points]
        self._crowded = len({point.suffix for point in points}) > 1
        self._in_subtrees = frozenset().union(*request.same_subtrees) if request.same_subtrees else frozenset()
        self._dead: set[object] = set()
        self._chosen: list[int] = []
        self._load: dict[tuple[int, str], int] = {}
        unsuffixed = next((group for group in request.groups if not group.suffix), None)
        self._required = unsuffixed.where.required if unsuffixed else ()

    def run(self) -> Iterator[Candidate]:
        """Yield this tree's candidates."""
        yield from self._descend(0)

    def _descend(self, depth: int) -> Iterator[Candidate]:
        if depth == len(self._points):
            if self._acceptable():
                yield self._candidate()
            return
        state = self._state(depth)
        if state in self._dead:
            return
        fruitful = False
        point = self._points[depth]
        for slot in self._options[depth]:
            if not self._may_take(point, slot):
                continue
            self._take(point, slot)
            for candidate in self._descend(depth + 1):
                fruitful = True
                yield candidate
            self._give_back(point, slot)
        if not fruitful:
            self._dead.add(state)

    def _state(self, depth: int) -> object:
        """Return all that the rest of the search can depend on."""
        places = tuple(
            slot
            for point, slot in zip(self._points, self._chosen, strict=False)
            if point.suffix in self._in_subtrees or (self._required and not point.suffix)
        )
        return depth, frozenset(self._load.items()), frozenset(self._isolated()), places

    def _isolated(self) -> list[int]:
        if not self._request.isolate:
            return []
        return [
            slot for point, slot in zip(self._points, self._chosen, strict=False) if point.suffix and point.resources
        ]

    def _may_take(self, point: _Point, slot: int) -> bool:
        if self._request.isolate and point.suffix and point.resources and slot in self._isolated():
            return False
        if not self._request.nested and self._chosen:
            home = self._snapshot.at(slot).root_id
            if any(other != slot and self._snapshot.at(other).root_id == home for other in self._chosen):
                return False
        if not self._crowded:
            return True
        inventories = self._snapshot.at(slot).inventories
        for name, amount in point.resources.items():
            before = self._load.get((slot, name), 0)
            if before:
                inventory = inventories[name]
                free = (inventory.total - inventory.reserved) * inventory.allocation_ratio - inventory.used
                if before + amount > free or before + amount > inventory.max_unit:
                    return False
        return True

    def _take(self, point: _Point, slot: int) -> None:
        self._chosen.append(slot)
        for name, amount in point.resources.items():
            self._load[slot, name] = self._load.get((slot, name), 0) + amount

    def _give_back(self, point: _Point, slot: int) -> None:
        self._chosen.pop()
        for name, amount in point.resources.items():
            rest = self._load[slot, name] - amount
            if rest:
                self._load[slot, name] = rest
            else:
                del self._load[slot, name]

    def _acceptable(self) -> bool:
        """Judge what only shows when everything is chosen."""
        if self._required:
            traits: set[str] = set()
            for point, slot in zip(self._points, self._chosen, strict=True):
                if not point.suffix:
                    traits |= self._snapshot.at(slot).traits
            if any(traits.isdisjoint(any_of) for any_of in self._required):
                return False
        return all(self._within_subtree(suffixes) for suffixes in self._request.same_subtrees)

    def _within_subtree(self, suffixes: frozenset[str]) -> bool:
        """Return whether one of the providers chosen for ``suffixes`` is above (or is) all the others."""
        chosen = {
            self._snapshot.at(slot).id
            for point, slot in zip(self._points, self._chosen, strict=True)
            if point.suffix in suffixes
        }
        return any(all(top in self._line(provider_id) for provider_id in chosen) for top in chosen)

    def _line(self, provider_id: int) -> set[int]:
        """Return a provider and all above it."""
        line = set()
        current: int | None = provider_id
        while current is not None and current not in line:
            line.add(current)
            current = self._snapshot.by_id(current).parent_id
        return line

    def _candidate(self) -> Candidate:
        allocations: dict[str, dict[str, int]] = {}
        mappings: dict[str, list[str]] = {}
        for (slot, name), amount in self._load.items():
            allocations.setdefault(self._snapshot.at(slot).uuid, {})[name] = amount
        for point, slot in zip(self._points, self._chosen, strict=True):
            uuid = self._snapshot.at(slot).uuid
            served_by = mappings.setdefault(point.suffix, [])
            if uuid not in served_by:
                served_by.append(uuid)
        root = self._snapshot.by_id(self._root).uuid
        return Candidate(root, allocations, {suffix: tuple(uuids) for suffix, uuids in mappings.items()})


def _in_turns(searches: Iterator[Callable[[], Iterator[Candidate]]]) -> Iterator[Candidate]:
    """Yield the first of each search, then the second of each, and so on."""
    waiting: deque[Iterator[Candidate]] = deque()
    for search in searches:
        results = search()
        first = next(results, None)
        if first is not None:
            yield first
            waiting.append(results)
    while waiting:
        results = waiting.popleft()
        following = next(results, None)
        if following is not None:
            yield following
            waiting.append(results)


def _once(found: Iterator[Candidate]) -> Iterator[Candidate]:
    """Drop repetitions: what is wholly taken from sharing providers shows up at every tree they share with."""
    seen: set[object] = set()
    for candidate in found:
        key = (
            frozenset((uuid, frozenset(amounts.items())) for uuid, amounts in candidate.allocations.items()),
            frozenset((suffix, frozenset(uuids)) for suffix, uuids in candidate.mappings.items()),
        )
        if key not in seen:
            seen.add(key)
            yield candidate
