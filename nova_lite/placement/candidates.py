"""Where can a request go? Pure: a snapshot of the providers and a request in, candidates out, one at a time.

A request becomes points: places where one provider must be chosen. A suffixed group is one point, the unsuffixed
group one point per class. Trees are first thinned out by columns, all at once. What is left is searched lazily, and
only once for all trees that look alike (``search.py``), so that a limit is reached without making what nobody will see.
"""

import math
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice

import numpy as np

from nova_lite.placement.forest import MAX_PLACES_IN_PATTERN, Mask, Tree
from nova_lite.placement.model import Candidate, Group, Request, Way
from nova_lite.placement.search import Point, Problem, ways
from nova_lite.placement.snapshot import Snapshot

#: Trees whose patterns are read from the columns at a time.
_BLOCK = 256


def candidates(
    request: Request, snapshot: Snapshot, *, breadth_first: bool = True, shuffled: random.Random | None = None
) -> Iterator[Candidate]:
    """Yield ways to place ``request`` on the providers of ``snapshot``, at most ``request.limit`` of them.

    Every way comes once; two ways differ in who gives what, or in which group is served by whom.
    Without a limit all ways come. With ``breadth_first`` trees take turns, so that the first ways are of as many trees
    as possible; else each tree is used up before the next. ``shuffled`` visits trees and providers in random order.
    Source: Placement API reference, GET /allocation_candidates, 1.10 to 1.39.
    """
    found = _Finder(request, snapshot, shuffled).walks()
    flat = _in_turns(found) if breadth_first else chain.from_iterable(found)
    return islice(flat, request.limit) if request.limit is not None else flat


@dataclass(frozen=True, slots=True)
class _Choice:
    """A point before it is seen from one tree: ``mask`` says which slots may be chosen."""

    suffix: str
    resources: Mapping[str, int]
    mask: Mask


def _choices(group: Group, snapshot: Snapshot) -> list[_Choice]:
    if group.suffix:
        names_somebody = group.resources or group.where.required or group.where.member_of
        mask = snapshot.matching(group.where) if names_somebody else snapshot.nobody()
        for name, amount in group.resources.items():
            mask &= snapshot.fits(name, amount)
        return [_Choice(group.suffix, group.resources, mask)]
    # Required traits of the unsuffixed group may come together from all its providers; the search looks at those.
    mask = snapshot.matching(replace(group.where, required=()), whole_tree_aggregates=True)
    return [_Choice("", {name: amount}, mask & snapshot.fits(name, amount)) for name, amount in group.resources.items()]


class _Sharing:
    """Providers that share with other trees through aggregates, as far as they could be chosen."""

    def __init__(self, choices: Sequence[_Choice], snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.mask = snapshot.sharing()
        if self.mask.any():
            wanted = snapshot.nobody()
            for choice in choices:
                wanted |= choice.mask
            self.mask &= wanted
        self._by_aggregate: dict[str, list[int]] = {}
        for slot in snapshot.slots(self.mask):
            for aggregate in snapshot.at(slot).aggregates:
                self._by_aggregate.setdefault(aggregate, []).append(slot)

    def __bool__(self) -> bool:
        return bool(self._by_aggregate)

    def reaches(self, mask: Mask) -> Mask:
        """Return a mask of the trees that somebody in ``mask`` shares with."""
        shared = [name for name, slots in self._by_aggregate.items() if any(mask[slot] for slot in slots)]
        return self._snapshot.forest.touched(self._snapshot.in_any_aggregate(shared))

    def with_tree(self, tree: Tree) -> tuple[int, ...]:
        """Return the slots of providers of other trees that share with ``tree``."""
        near = {
            slot
            for member in tree.slots
            for aggregate in self._snapshot.at(member).aggregates
            for slot in self._by_aggregate.get(aggregate, ())
        }
        return tuple(sorted(near.difference(tree.slots)))


class _Finder:
    """Turns one request into walks: for each possible tree, the candidates it offers."""

    def __init__(self, request: Request, snapshot: Snapshot, shuffled: random.Random | None) -> None:
        self._request = request
        self._snapshot = snapshot
        self._shuffled = shuffled
        self._choices = [choice for group in request.groups for choice in _choices(group, snapshot)]
        self._sharing = _Sharing(self._choices, snapshot)
        unsuffixed = next((group for group in request.groups if not group.suffix), None)
        required = unsuffixed.where.required if unsuffixed else ()
        self._conditions = [snapshot.with_any_trait(any_of) for any_of in required]
        self._room = {name: snapshot.room(name, asked).tolist() for name, asked in self._crowded().items()}
        self._plans: dict[object, _Plan] = {}
        self._seen: set[object] = set()

    def _crowded(self) -> dict[str, int]:
        """Return the classes that several groups ask for, with how much in all."""
        asked: dict[str, list[int]] = {}
        for choice in self._choices:
            for name, amount in choice.resources.items():
                asked.setdefault(name, []).append(amount)
        return {name: sum(amounts) for name, amounts in asked.items() if len(amounts) > 1}

    def walks(self) -> Iterator[Iterator[Candidate]]:
        """Yield one iterator of candidates per tree that could offer any, oldest tree first unless shuffled."""
        forest = self._snapshot.forest
        masks = [choice.mask for choice in self._choices]
        numbers = np.flatnonzero(self._possible_trees())
        if self._shuffled is not None:
            order = numbers.tolist()
            self._shuffled.shuffle(order)
            numbers = np.array(order, dtype=np.int64)
        columns = [forest.patterns(mask) for mask in (*masks, *self._conditions)]
        if self._sharing:
            columns.append(forest.patterns(self._sharing.mask))
        for start in range(0, len(numbers), _BLOCK):
            block = numbers[start : start + _BLOCK]
            patterns = zip(*(column[block].tolist() for column in columns), strict=True)
            for number, pattern in zip(block.tolist(), patterns, strict=True):
                yield self._walk(forest.tree(number), pattern)

    def _possible_trees(self) -> Mask:
        """Return a mask of the trees where no point is without anybody to choose, and whose root is right."""
        forest, request = self._snapshot.forest, self._request
        possible = forest.everywhere()
        for choice in self._choices:
            possible &= self._reached(choice.mask)
        if not self._choices:
            possible[:] = False
        if self._conditions:
            unsuffixed = self._anybody(choice for choice in self._choices if not choice.suffix)
            for condition in self._conditions:
                possible &= self._reached(condition & unsuffixed)
        for trait in request.root_required:
            possible &= forest.with_root_in(self._snapshot.with_any_trait([trait]))
        if request.root_forbidden:
            possible &= ~forest.with_root_in(self._snapshot.with_any_trait(request.root_forbidden))
        return possible

    def _anybody(self, choices: Iterable[_Choice]) -> Mask:
        """Return a mask of who may be chosen for at least one of ``choices``."""
        mask = self._snapshot.nobody()
        for choice in choices:
            mask |= choice.mask
        return mask

    def _reached(self, mask: Mask) -> Mask:
        """Return a mask of the trees that somebody in ``mask`` is in, or shares with."""
        reached = self._snapshot.forest.touched(mask)
        return reached | self._sharing.reaches(mask) if self._sharing else reached

    def _walk(self, tree: Tree, pattern: tuple[float, ...]) -> Iterator[Candidate]:
        slots = tree.slots
        if self._sharing:
            slots += self._sharing.with_tree(tree)
        room = [tuple([column[slot] for slot in slots]) for column in self._room.values()]
        key: object = tree.root_id
        if len(tree.slots) <= MAX_PLACES_IN_PATTERN:
            key = (tree.shape, pattern, slots[len(tree.slots) :], *room)
        plan = self._plans.get(key)
        if plan is None:
            problem = self._problem(tree, slots, dict(zip(self._room, room, strict=True)))
            plan = self._plans[key] = _Plan(problem)
        at = self._snapshot.at
        uuids = [at(slot).uuid for slot in slots]
        if not self._sharing:
            return map(partial(Candidate, uuids), plan.known or plan)
        return self._once(plan, slots, uuids)

    def _once(self, plan: "_Plan", slots: Sequence[int], uuids: Sequence[str]) -> Iterator[Candidate]:
        """Drop repetitions: what is wholly taken from sharing providers shows up at every tree they share with."""
        for way in plan:
            candidate = Candidate(uuids, way)
            if all(self._sharing.mask[slots[place]] for _, places in way.mappings for place in places):
                key = (
                    frozenset((uuid, frozenset(amounts.items())) for uuid, amounts in candidate.allocations.items()),
                    frozenset((suffix, frozenset(served_by)) for suffix, served_by in candidate.mappings.items()),
                )
                if key in self._seen:
                    continue
                self._seen.add(key)
            yield candidate

    def _problem(self, tree: Tree, slots: Sequence[int], room: Mapping[str, Sequence[int]]) -> Problem:
        points = []
        for choice in self._choices:
            places = [place for place, slot in enumerate(slots) if choice.mask[slot]]
            if self._shuffled is not None:
                self._shuffled.shuffle(places)
            points.append(Point(choice.suffix, choice.resources, tuple(places)))
        meets = [
            sum(1 << number for number, mask in enumerate(self._conditions) if mask[slot])
            for slot in (slots if self._conditions else ())
        ]
        return Problem(
            points=tuple(points),
            above=self._above(tree, slots),
            rivals=None if self._request.nested else self._rivals(slots),
            room=room,
            meets=meets or None,
            conditions=(1 << len(self._conditions)) - 1,
            isolate=self._request.isolate,
            same_subtrees=self._request.same_subtrees,
        )

    def _above(self, tree: Tree, slots: Sequence[int]) -> Sequence[int]:
        """Return ``tree.above``, and the same of what is shared with the tree."""
        above = list(tree.above)
        place_of = {self._snapshot.at(slot).id: place for place, slot in enumerate(slots)}
        for slot in slots[len(tree.slots) :]:
            line = 0
            current: int | None = self._snapshot.at(slot).id
            while current is not None:
                line |= 1 << place_of[current] if current in place_of else 0
                current = self._snapshot.by_id(current).parent_id
            above.append(line)
        return above

    def _rivals(self, slots: Sequence[int]) -> list[int]:
        """Return for each place the other places of the same tree."""
        roots = [self._snapshot.at(slot).root_id for slot in slots]
        return [
            sum(1 << other for other, theirs in enumerate(roots) if theirs == root and other != place)
            for place, root in enumerate(roots)
        ]


class _Plan:
    """The ways of trees that look alike: found by the first that asks, and kept for the others."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._more = ways(problem)
        self._found: list[Way] = []
        self._most = math.prod(len(point.places) for point in problem.points)

    @property
    def known(self) -> Sequence[Way]:
        """All the ways, as soon as it is clear that there are no more; nothing until then."""
        return self._found if len(self._found) == self._most else ()

    def __iter__(self) -> Iterator[Way]:
        number = 0
        while number < self._most:
            if number == len(self._found):
                chosen = next(self._more, None)
                if chosen is None:
                    self._most = number
                    return
                self._found.append(self._way(chosen))
            yield self._found[number]
            number += 1

    def _way(self, chosen: Sequence[int]) -> Way:
        allocations: dict[int, dict[str, int]] = {}
        mappings: dict[str, dict[int, None]] = {}
        for point, place in zip(self._problem.points, chosen, strict=True):
            mappings.setdefault(point.suffix, {})[place] = None
            for name, amount in point.resources.items():
                amounts = allocations.setdefault(place, {})
                amounts[name] = amounts.get(name, 0) + amount
        return Way(tuple(allocations.items()), tuple((suffix, tuple(places)) for suffix, places in mappings.items()))


def _in_turns(walks: Iterator[Iterator[Candidate]]) -> Iterator[Candidate]:
    """Yield the first candidate of each walk, then the second of each, and so on."""
    waiting: deque[Iterator[Candidate]] = deque()
    for walk in walks:
        first = next(walk, None)
        if first is not None:
            yield first
            waiting.append(walk)
    while waiting:
        walk = waiting.popleft()
        following = next(walk, None)
        if following is not None:
            yield following
            waiting.append(walk)
