"""All ways to place a request within one tree (and what is shared with it). Pure, and blind to who the providers are.

A provider is a *place*, a number from 0; a set of places is an int, one bit each. Trees that look alike through these
numbers have the same ways, so that ``candidates.py`` searches once for all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Point:
    """One provider to choose: for which group, asked for what, out of which places (tried in this order)."""

    suffix: str
    resources: Mapping[str, int]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A request as one tree sees it. Every sequence goes by place."""

    points: tuple[Point, ...]
    #: The place itself and those above it in its tree.
    above: Sequence[int]
    #: The other places it may not be chosen together with.
    rivals: Sequence[int] | None
    #: Class → what is left there; only of classes that several groups ask for.
    room: Mapping[str, Sequence[int]]
    #: Which of the trait conditions of the unsuffixed group it meets, a bit each; in the end all must be met.
    meets: Sequence[int] | None
    conditions: int
    isolate: bool
    same_subtrees: tuple[frozenset[str], ...]


class _State(NamedTuple):
    """All that the rest of a search depends on."""

    #: Places taken by groups that tolerate nobody beside them.
    isolated: int
    #: Places chosen; 0 where no rivals are to be watched.
    chosen: int
    #: Trait conditions met.
    met: int
    #: What is left, class by class, place by place.
    left: tuple[int, ...]
    #: Of each subtree condition: the places above everything chosen for it (-1: all), and which of them are chosen.
    subtrees: tuple[tuple[int, int], ...]


def ways(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Yield every choice of one place per point that meets the problem's conditions, lazily, each once.

    Depth first without recursion; a state that led nowhere is never entered twice.
    """
    if not problem.points:
        return
    step = _Stepper(problem)
    last = len(problem.points) - 1
    dead: set[tuple[int, _State]] = set()
    chosen: list[int] = []
    states = [step.first]
    tries = [iter(problem.points[0].places)]
    fruitful = [False]
    while tries:
        depth = len(tries) - 1
        place = next(tries[-1], None)
        if place is None:
            found = fruitful.pop()
            if not found:
                dead.add((depth, states[-1]))
            states.pop()
            tries.pop()
            if chosen:
                chosen.pop()
                fruitful[-1] |= found
            continue
        state = step(states[-1], depth, place)
        if state is None:
            continue
        if depth == last:
            fruitful[-1] = True
            yield (*chosen, place)
        elif (depth + 1, state) not in dead:
            chosen.append(place)
            states.append(state)
            tries.append(iter(problem.points[depth + 1].places))
            fruitful.append(False)


class _Stepper:
    """Says what comes of choosing a place, and refuses a choice from which no way can follow."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._offsets = {name: n * len(problem.above) for n, name in enumerate(problem.room)}
        left = tuple(amount for room in problem.room.values() for amount in room)
        self.first = _State(0, 0, 0, left, ((-1, 0),) * len(problem.same_subtrees))
        self._memberships = [
            [n for n, suffixes in enumerate(problem.same_subtrees) if point.suffix in suffixes]
            for point in problem.points
        ]
        self._still_met = self._met_by_the_rest()
        self._still_wanted = self._subtrees_after()
        self._still_alone = self._alone_after()
        self._still_asked = self._asked_after()

    def _met_by_the_rest(self) -> list[int]:
        """Return for each depth which trait conditions the points after it could meet."""
        rest = [0] * len(self._problem.points)
        if self._problem.meets is not None:
            for depth in range(len(rest) - 1, 0, -1):
                point = self._problem.points[depth]
                here = 0
                if not point.suffix:
                    for place in point.places:
                        here |= self._problem.meets[place]
                rest[depth - 1] = rest[depth] | here
        return rest

    def _subtrees_after(self) -> list[list[bool]]:
        """Return for each depth and each subtree condition whether points after it belong to it."""
        count = len(self._problem.same_subtrees)
        after = [[False] * count for _ in self._problem.points]
        for depth in range(len(after) - 1, 0, -1):
            after[depth - 1] = [later or n in self._memberships[depth] for n, later in enumerate(after[depth])]
        return after

    def _alone_after(self) -> list[tuple[int, int]]:
        """Return for each depth how many points after it tolerate nobody beside them, and all their places."""
        after = [(0, 0)] * len(self._problem.points)
        for depth in range(len(after) - 1, 0, -1):
            count, places = after[depth]
            point = self._problem.points[depth]
            if self._is_alone(point):
                count += 1
                for place in point.places:
                    places |= 1 << place
            after[depth - 1] = (count, places)
        return after

    def _asked_after(self) -> list[dict[str, int]]:
        """Return for each depth how much of each crowded class the points after it ask for."""
        after: list[dict[str, int]] = [{} for _ in self._problem.points]
        for depth in range(len(after) - 1, 0, -1):
            asked = dict(after[depth])
            for name, amount in self._problem.points[depth].resources.items():
                if name in self._offsets:
                    asked[name] = asked.get(name, 0) + amount
            after[depth - 1] = asked
        return after

    def _is_alone(self, point: Point) -> bool:
        return self._problem.isolate and bool(point.suffix)

    def __call__(self, state: _State, depth: int, place: int) -> _State | None:
        problem, point = self._problem, self._problem.points[depth]
        isolated, chosen, met, left, subtrees = state
        if problem.isolate and self._is_alone(point):
            count, places = self._still_alone[depth]
            if isolated >> place & 1 or (places & ~(isolated | 1 << place)).bit_count() < count:
                return None
            isolated |= 1 << place
        if problem.rivals is not None:
            if chosen & problem.rivals[place]:
                return None
            chosen |= 1 << place
        if problem.conditions:
            if problem.meets is not None and not point.suffix:
                met |= problem.meets[place]
            if (met | self._still_met[depth]) != problem.conditions:
                return None
        left_then = self._take(left, depth, place) if self._offsets else left
        subtrees_then = self._narrow(subtrees, depth, place) if self._memberships[depth] else subtrees
        if left_then is None or subtrees_then is None:
            return None
        return _State(isolated, chosen, met, left_then, subtrees_then)

    def _take(self, left: tuple[int, ...], depth: int, place: int) -> tuple[int, ...] | None:
        for name, amount in self._problem.points[depth].resources.items():
            offset = self._offsets.get(name)
            if offset is not None:
                at = offset + place
                if left[at] < amount:
                    return None
                left = (*left[:at], left[at] - amount, *left[at + 1 :])
        return left if self._enough(left, depth) else None

    def _enough(self, left: tuple[int, ...], depth: int) -> bool:
        """Return whether all that is left could do for the points after ``depth``, wherever it is."""
        return all(
            sum(left[self._offsets[name] : self._offsets[name] + len(self._problem.above)]) >= asked
            for name, asked in self._still_asked[depth].items()
        )

    def _narrow(
        self, subtrees: tuple[tuple[int, int], ...], depth: int, place: int
    ) -> tuple[tuple[int, int], ...] | None:
        """One of the providers chosen for a subtree condition must be above all the others of it (or be them)."""
        narrowed = list(subtrees)
        for n in self._memberships[depth]:
            above, tops = subtrees[n]
            above &= self._problem.above[place]
            tops = (tops | 1 << place) & above
            if not above or not (tops or self._still_wanted[depth][n]):
                return None
            narrowed[n] = (above, tops)
        return tuple(narrowed)
