"""All providers in columns: capacity and use per class, who has which trait and aggregate, tree links.

No I/O here: ``reader.py`` keeps a snapshot up to date. A slot is the row of one provider in every column.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from nova_lite.placement.forest import Forest, Ints, Mask
from nova_lite.placement.model import SHARES, Inventory, Provider, ProviderFilter

_FIRST_SIZE = 64
#: Providers that notes are kept of: about a kilobyte each.
_MAX_NOTES = 20_000
#: Sets of names remembered, so that equal ones are one object.
_MAX_SETS = 20_000


class _ClassColumns:
    """The inventories of one class; ``has`` says where there is one."""

    def __init__(self, size: int) -> None:
        self.has: Mask = np.zeros(size, dtype=np.bool_)
        self.capacity = np.zeros(size, dtype=np.float64)
        self.used: Ints = np.zeros(size, dtype=np.int64)
        self.min_unit: Ints = np.zeros(size, dtype=np.int64)
        self.max_unit: Ints = np.zeros(size, dtype=np.int64)
        self.step_size: Ints = np.ones(size, dtype=np.int64)
        #: The largest step there ever was: remainders are slow to find, and seldom asked for.
        self.most_steps = 1

    def grow(self, size: int) -> None:
        for name in ("has", "capacity", "used", "min_unit", "max_unit", "step_size"):
            column = getattr(self, name)
            fresh = np.ones(size, dtype=column.dtype) if name == "step_size" else np.zeros(size, dtype=column.dtype)
            fresh[: len(column)] = column
            setattr(self, name, fresh)

    def put(self, slot: int, inventory: Inventory) -> None:
        self.has[slot] = True
        self.capacity[slot] = (inventory.total - inventory.reserved) * inventory.allocation_ratio
        self.used[slot] = inventory.used
        self.min_unit[slot] = inventory.min_unit
        self.max_unit[slot] = inventory.max_unit
        self.step_size[slot] = inventory.step_size
        self.most_steps = max(self.most_steps, inventory.step_size)

    def fits(self, amount: int) -> Mask:
        fits: Mask = self.has & (self.capacity - self.used >= amount)
        fits &= self.min_unit <= amount
        fits &= self.max_unit >= amount
        if self.most_steps > 1:
            fits &= amount % self.step_size == 0
        return fits

    def room(self, most: int) -> Ints:
        """Return what one claim may take of each, at most ``most``."""
        free = np.minimum(np.floor(self.capacity - self.used), self.max_unit)
        room: Ints = np.where(self.has, np.clip(free, 0, most), 0).astype(np.int64)
        return room


class Snapshot:
    """The providers, each in a slot. Not safe for threads: its owner holds a lock around changes and questions."""

    def __init__(self, providers: Iterable[Provider] = ()) -> None:
        self._size = _FIRST_SIZE
        self._free: list[int] = []
        self._next = 0
        self._providers: list[Provider | None] = []
        self._slot_by_id: dict[int, int] = {}
        self._id_by_uuid: dict[str, int] = {}
        self._alive: Mask = np.zeros(self._size, dtype=np.bool_)
        self._forest = Forest(self._size, self._providers)
        self._classes: dict[str, _ClassColumns] = {}
        self._traits: dict[str, Mask] = {}
        self._aggregates: dict[str, set[int]] = {}
        #: Provider id → what somebody made of it alone; forgotten as soon as it changes.
        self.notes: dict[int, object] = {}
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        for provider in providers:
            self.put(provider)

    # -- changes

    def put(self, provider: Provider) -> None:
        """Add ``provider``, or replace what was known of it."""
        provider = self._slimmed(provider)
        slot = self._slot_by_id.get(provider.id)
        if slot is not None:
            self._clear(slot, self.at(slot))
        else:
            slot = self._take_slot()
        self._providers[slot] = provider
        self._slot_by_id[provider.id] = slot
        self._id_by_uuid[provider.uuid] = provider.id
        self._alive[slot] = True
        self._forest.put(slot, provider.root_id)
        for name, inventory in provider.inventories.items():
            self._columns(name).put(slot, inventory)
        for trait in provider.traits:
            self._trait(trait)[slot] = True
        for aggregate in provider.aggregates:
            self._aggregates.setdefault(aggregate, set()).add(slot)

    def _slimmed(self, provider: Provider) -> Provider:
        """Return ``provider`` with traits and aggregates that are one object for all providers with the same."""
        if len(self._sets) >= _MAX_SETS:
            self._sets.clear()
        traits = self._sets.setdefault(provider.traits, provider.traits)
        aggregates = self._sets.setdefault(provider.aggregates, provider.aggregates)
        if traits is provider.traits and aggregates is provider.aggregates:
            return provider
        return replace(provider, traits=traits, aggregates=aggregates)

    def set_use(self, provider_id: int, generation: int, used: Mapping[str, int]) -> bool:
        """Note what is used of a provider; False when what is known of it has not these classes."""
        slot = self._slot_by_id.get(provider_id)
        if slot is None or (known := self.at(slot)).inventories.keys() != used.keys():
            return False
        inventories = dict(known.inventories)
        for name, amount in used.items():
            if inventories[name].used != amount:
                inventories[name] = replace(inventories[name], used=amount)
                self._classes[name].used[slot] = amount
        self._providers[slot] = replace(known, generation=generation, inventories=inventories)
        self.notes.pop(provider_id, None)
        return True

    def note(self, provider_id: int, note: object) -> None:
        """Keep ``note`` until that provider changes, or room is needed for others."""
        if len(self.notes) >= _MAX_NOTES:
            self.notes.clear()
        self.notes[provider_id] = note

    def drop(self, provider_id: int) -> None:
        """Forget a provider; one that is not known is no error."""
        slot = self._slot_by_id.pop(provider_id, None)
        if slot is not None:
            self._clear(slot, self.at(slot))
            self._free.append(slot)

    def _clear(self, slot: int, provider: Provider) -> None:
        if self._id_by_uuid.get(provider.uuid) == provider.id:
            del self._id_by_uuid[provider.uuid]
        self._forest.drop(slot, provider.root_id)
        self.notes.pop(provider.id, None)
        for name in provider.inventories:
            self._classes[name].has[slot] = False
        for trait in provider.traits:
            self._traits[trait][slot] = False
        for aggregate in provider.aggregates:
            self._aggregates[aggregate].discard(slot)
            if not self._aggregates[aggregate]:
                del self._aggregates[aggregate]
        self._alive[slot] = False
        self._providers[slot] = None

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        if self._next == self._size:
            self._grow(self._size * 2)
        slot = self._next
        self._next += 1
        self._providers.append(None)
        return slot

    def _grow(self, size: int) -> None:
        extra = size - self._size
        self._alive = np.concatenate([self._alive, np.zeros(extra, dtype=np.bool_)])
        self._forest.grow(size)
        for columns in self._classes.values():
            columns.grow(size)
        for name, mask in self._traits.items():
            self._traits[name] = np.concatenate([mask, np.zeros(extra, dtype=np.bool_)])
        self._size = size

    def _columns(self, name: str) -> _ClassColumns:
        if name not in self._classes:
            self._classes[name] = _ClassColumns(self._size)
        return self._classes[name]

    def _trait(self, name: str) -> Mask:
        if name not in self._traits:
            self._traits[name] = np.zeros(self._size, dtype=np.bool_)
        return self._traits[name]

    # -- questions about one provider

    def __len__(self) -> int:
        return len(self._slot_by_id)

    def by_uuid(self, uuid: str) -> Provider | None:
        """Return the provider of that UUID, or None."""
        found = self._id_by_uuid.get(uuid)
        return None if found is None else self.by_id(found)

    def by_id(self, provider_id: int) -> Provider:
        """Return the provider of that id; raises KeyError."""
        return self.at(self._slot_by_id[provider_id])

    def at(self, slot: int) -> Provider:
        """Return the provider in ``slot``."""
        provider = self._providers[slot]
        if provider is None:
            raise KeyError(slot)
        return provider

    @property
    def forest(self) -> Forest:
        """The trees, as they are now."""
        self._forest.settle()
        return self._forest

    def tree(self, root_id: int) -> list[Provider]:
        """Return the providers of a tree, oldest first."""
        return [self.at(slot) for slot in self.forest.slots_of(root_id)]

    # -- questions about all of them at once

    def nobody(self) -> Mask:
        """Return a mask of no slot."""
        return np.zeros(self._size, dtype=np.bool_)

    def everybody(self) -> Mask:
        """Return a mask of every living slot."""
        return self._alive.copy()

    def slots(self, mask: Mask) -> list[int]:
        """Return the slots in ``mask``."""
        return [int(slot) for slot in np.flatnonzero(mask)]

    def providers(self, mask: Mask) -> Iterator[Provider]:
        """Yield the providers in ``mask``, oldest first."""
        return iter(sorted((self.at(slot) for slot in self.slots(mask)), key=lambda provider: provider.id))

    def fits(self, class_name: str, amount: int) -> Mask:
        """Return who can take ``amount`` more of a class."""
        columns = self._classes.get(class_name)
        return self.nobody() if columns is None else columns.fits(amount)

    def room(self, class_name: str, most: int) -> Ints:
        """Return for each slot how much of a class one claim may take there, at most ``most``."""
        columns = self._classes.get(class_name)
        return np.zeros(self._size, dtype=np.int64) if columns is None else columns.room(most)

    def with_any_trait(self, traits: Iterable[str]) -> Mask:
        """Return who has at least one of ``traits``."""
        mask = self.nobody()
        for trait in traits:
            if trait in self._traits:
                mask |= self._traits[trait]
        return mask

    def traits_in_use(self) -> frozenset[str]:
        """Return the traits that some provider has."""
        return frozenset(trait for trait, mask in self._traits.items() if mask.any())

    def in_any_aggregate(self, aggregates: Iterable[str]) -> Mask:
        """Return who is in at least one of ``aggregates``."""
        mask = self.nobody()
        for aggregate in aggregates:
            members = self._aggregates.get(aggregate)
            if members:
                mask[list(members)] = True
        return mask

    def in_tree_of(self, uuid: str) -> Mask:
        """Return who is in the tree of the provider ``uuid``: nobody, when there is no such provider."""
        mask = self.nobody()
        provider = self.by_uuid(uuid)
        if provider is not None:
            mask[list(self.forest.slots_of(provider.root_id))] = True
        return mask

    def whole_trees(self, mask: Mask) -> Mask:
        """Return everybody whose root is in ``mask``."""
        return self.forest.slots_in(self.forest.with_root_in(mask))

    def matching(self, where: ProviderFilter, *, whole_tree_aggregates: bool = False) -> Mask:
        """Return who meets every condition of ``where`` by itself.

        With ``whole_tree_aggregates`` a root's aggregates count for its whole tree.
        """
        mask = self.everybody()
        for any_of in where.required:
            mask &= self.with_any_trait(any_of)
        if where.forbidden:
            mask &= ~self.with_any_trait(where.forbidden)
        if where.member_of:
            members = self.everybody()
            for any_aggregate in where.member_of:
                members &= self.in_any_aggregate(any_aggregate)
            # A provider is in all of them itself, or its root is; not in some by one and in some by the other.
            mask &= self._spread(members, whole_tree_aggregates)
        if where.forbidden_aggregates:
            mask &= ~self._spread(self.in_any_aggregate(where.forbidden_aggregates), whole_tree_aggregates)
        if where.in_tree is not None:
            mask &= self.in_tree_of(where.in_tree)
        return mask

    def _spread(self, members: Mask, to_whole_trees: bool) -> Mask:
        return members | self.whole_trees(members) if to_whole_trees else members

    def sharing(self) -> Mask:
        """Return who shares its inventories through its aggregates."""
        return self.with_any_trait((SHARES,))
