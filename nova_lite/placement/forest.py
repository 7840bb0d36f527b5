"""Which slots of a snapshot form which tree, in columns: slot → tree, and what a tree looks like."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nova_lite.placement.model import Provider

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: A float counts exactly up to 2^53: that many places of a tree have a bit of their own in a pattern.
MAX_PLACES_IN_PATTERN = 52
#: Shapes remembered; more are rather a sign of churn than of likeness.
_MAX_SHAPES = 4096


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; a provider's *place* is its index in ``slots``, oldest provider first."""

    root_id: int
    slots: tuple[int, ...]
    #: By place: the bits of the place itself and of those above it.
    above: Sequence[int]
    #: The same for trees whose places are linked the same way.
    shape: int


class Forest:
    """The trees of a snapshot. What changed is put in order by ``settle``, to be called before questions."""

    def __init__(self, size: int, providers: Sequence[Provider | None]) -> None:
        """``providers`` goes by slot; it is the snapshot's own list, looked at when trees are settled."""
        self._providers = providers
        self._tree_of: Ints = np.full(size, -1, dtype=np.int64)
        self._weight: Floats = np.zeros(size, dtype=np.float64)
        self._trees: list[Tree | None] = []
        self._root_slots: Ints = np.full(size, -1, dtype=np.int64)
        self._numbers: dict[int, int] = {}
        self._free: list[int] = []
        #: Root id → the slots its tree has from now on.
        self._unsettled: dict[int, set[int]] = {}
        self._shapes: dict[tuple[int, ...], tuple[int, Sequence[int]]] = {}
        self._next_shape = 0

    def grow(self, size: int) -> None:
        """Make room for ``size`` slots."""
        for name, empty in (("_tree_of", -1), ("_weight", 0.0), ("_root_slots", -1)):
            old = getattr(self, name)
            fresh = np.full(size, empty, dtype=old.dtype)
            fresh[: len(old)] = old
            setattr(self, name, fresh)

    def put(self, slot: int, root_id: int) -> None:
        """Note that the provider in ``slot`` is new, or new in the tree below ``root_id``, or has moved in it."""
        self._changing(root_id).add(slot)

    def drop(self, slot: int, root_id: int) -> None:
        """Note that the provider in ``slot`` has left the tree below ``root_id``."""
        self._changing(root_id).discard(slot)
        self._tree_of[slot] = -1

    def _changing(self, root_id: int) -> set[int]:
        slots = self._unsettled.get(root_id)
        if slots is None:
            number = self._numbers.get(root_id)
            slots = self._unsettled[root_id] = set() if number is None else set(self.tree(number).slots)
        return slots

    def settle(self) -> None:
        """Put in order what changed since the last time."""
        for root_id, slots in self._unsettled.items():
            if slots:
                self._plant(root_id, slots)
            elif root_id in self._numbers:
                number = self._numbers.pop(root_id)
                self._trees[number] = None
                self._root_slots[number] = -1
                self._free.append(number)
        self._unsettled.clear()

    def _plant(self, root_id: int, members: Iterable[int]) -> None:
        number = self._numbers.get(root_id)
        if number is None:
            if self._free:
                number = self._free.pop()
            else:
                number = len(self._trees)
                self._trees.append(None)
            self._numbers[root_id] = number
        oldest_first = sorted((provider.id, slot) for slot in members if (provider := self._providers[slot]))
        places = {provider_id: place for place, (provider_id, _) in enumerate(oldest_first)}
        slots = tuple(slot for _, slot in oldest_first)
        shape, above = self._shape(tuple(places.get(self._parent_id(slot), -1) for slot in slots))
        self._trees[number] = Tree(root_id, slots, above, shape)
        self._root_slots[number] = slots[places[root_id]] if root_id in places else -1
        for place, slot in enumerate(slots):
            self._tree_of[slot] = number
            self._weight[slot] = 2.0**place if place < MAX_PLACES_IN_PATTERN else 1.0

    def _parent_id(self, slot: int) -> int:
        provider = self._providers[slot]
        return -1 if provider is None or provider.parent_id is None else provider.parent_id

    def _shape(self, parents: tuple[int, ...]) -> tuple[int, Sequence[int]]:
        known = self._shapes.get(parents)
        if known is None:
            if len(self._shapes) == _MAX_SHAPES:
                self._shapes.clear()
            known = self._shapes[parents] = (self._next_shape, tuple(_lines(parents)))
            self._next_shape += 1
        return known

    # -- questions

    def __len__(self) -> int:
        return len(self._numbers)

    def tree(self, number: int) -> Tree:
        """Return a tree by its number; raises KeyError."""
        tree = self._trees[number]
        if tree is None:
            raise KeyError(number)
        return tree

    def slots_of(self, root_id: int) -> tuple[int, ...]:
        """Return the slots of the tree below ``root_id``, oldest provider first."""
        number = self._numbers.get(root_id)
        return () if number is None else self.tree(number).slots

    def everywhere(self) -> Mask:
        """Return a mask of every tree (by number)."""
        alive: Mask = self._root_slots[: len(self._trees)] >= 0
        return alive

    def touched(self, mask: Mask) -> Mask:
        """Return a mask of the trees that the slots in ``mask`` are in."""
        touched = np.zeros(len(self._trees), dtype=np.bool_)
        touched[self._tree_of[mask]] = True
        return touched

    def with_root_in(self, mask: Mask) -> Mask:
        """Return a mask of the trees whose root's slot is in ``mask``."""
        found: Mask = self.everywhere() & mask[self._root_slots[: len(self._trees)]]
        return found

    def slots_in(self, trees: Mask) -> Mask:
        """Return a mask of all slots of the trees in ``trees``."""
        found = np.zeros(len(self._tree_of), dtype=np.bool_)
        planted = np.flatnonzero(self._tree_of >= 0)
        found[planted] = trees[self._tree_of[planted]]
        return found

    def patterns(self, mask: Mask) -> Floats:
        """Return for each tree which of its places are in ``mask``, as the sum of 2^place.

        Exact for trees of up to ``MAX_PLACES_IN_PATTERN`` places; for others no more than "none" (0) or "some".
        """
        counted = np.bincount(self._tree_of[mask], weights=self._weight[mask], minlength=len(self._trees))
        return counted.astype(np.float64, copy=False)


def _lines(parents: Sequence[int]) -> list[int]:
    """Return for each place the bits of itself and of all above it."""
    lines = []
    for place in range(len(parents)):
        line, current = 0, place
        while current >= 0 and not line >> current & 1:
            line |= 1 << current
            current = parents[current]
        lines.append(line)
    return lines
