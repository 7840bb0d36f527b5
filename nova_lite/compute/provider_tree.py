"""Placement's view of this host: made to agree with what the host offers, changing only what differs.

Left alone: what operators and neighbours put there. That is providers in the host's tree that are not the host's,
aggregates, classes and traits the host does not tell of, and ratios, unless the configuration forces them.
"""

import logging
import uuid as uuids
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import os_traits

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.compute import inventory, reshaping
from nova_lite.compute.told import Own, Told
from nova_lite.model.provider import Provider

LOG = logging.getLogger(__name__)

#: Tries at telling, against others who change the tree at the same time.
_MAX_TRIES = 5
_MAX_TRIES_TO_CLOSE = 20
#: Consumers named in a complaint.
_MAX_NAMED = 5
#: Standard classes that hosts tell of, and thus take away again. Others are operators'.
_HOST_CLASSES = frozenset({"VCPU", "PCPU", "MEMORY_MB", "DISK_GB", "SRIOV_NET_VF", "VGPU"})

Inventories = dict[str, dict[str, Any]]


@dataclass(slots=True)
class _Part:
    """One provider: as Placement has it (``known``, ``traits``) and as it is to be (``new``; ``wanted`` None: gone)."""

    uuid: str
    name: str
    parent: str | None
    generation: int
    known: Inventories
    traits: set[str]
    wanted: Provider | None
    own: Own
    new: Inventories = field(default_factory=dict)

    @property
    def lost(self) -> set[str]:
        """The classes that are to go."""
        return self.known.keys() - self.new.keys()


class ProviderTree:
    """The tree whose root is ``node``. One thread at a time."""

    def __init__(self, placement: PlacementClient, node: str, told: Told) -> None:
        self._placement = placement
        self._node = node
        self._told = told
        self._traits_made: set[str] = set()
        #: Inventories that were closed, as they were.
        self._open: dict[reshaping.Place, dict[str, Any]] = {}

    def check(self, name: str) -> None:
        """Raise Misconfigured when Placement knows this host by another name, or its ``name`` by another UUID."""
        tree = {provider["uuid"]: provider for provider in self._placement.tree(self._node)}
        self._check_name(tree.get(self._node), name)
        if self._node not in tree:
            self._check_taken(name, self._node)

    def agree(self, wanted: Sequence[Provider]) -> tuple[str, ...]:
        """Make Placement agree with ``wanted``, parents first; return what had to stay, and why, a sentence each.

        Raises Misconfigured as ``check`` does, Unavailable when Placement does not answer.
        """
        for _ in range(_MAX_TRIES):
            try:
                left = self._try(wanted)
            except errors.Conflict as exc:
                LOG.info("The tree of %s changed meanwhile; telling again: %s", wanted[0].name, exc)
            else:
                if left is not None:
                    return left
        raise errors.Unavailable("Placement's view of this host changes faster than it can be told.")

    def _try(self, wanted: Sequence[Provider]) -> tuple[str, ...] | None:
        """Tell once; None: the tree was reshaped, and there may be more to tell. Raises Conflict."""
        parts = self._parts(wanted)
        _plan(parts)
        left: list[str] = []
        stuck = self._in_use(parts)
        if stuck:
            if self._reshape(parts, stuck, left):
                return None
            _keep(parts, stuck, left)
        # What goes goes first: nothing is offered twice.
        for part in sorted(parts, key=lambda part: not part.lost):
            self._tell(part)
        for part in reversed(parts):
            if part.wanted is None and not part.new and not self._placement.remove_provider(part.uuid):
                left.append(f"{part.name} is no longer there, and Placement does not let go of it: it has children")
        return tuple(left)

    # -- reading --------------------------------------------------------------------------------------------------

    def _parts(self, wanted: Sequence[Provider]) -> list[_Part]:
        """Return the host's providers, parents first, those that are gone last; missing ones are made."""
        known = {provider["uuid"]: provider for provider in self._placement.tree(self._node)}
        self._check_name(known.get(self._node), wanted[0].name)
        ids = {provider.name: self.uuid_of(provider) for provider in wanted}
        parts = []
        for provider in wanted:
            uuid, parent = ids[provider.name], provider.parent and ids[provider.parent]
            if uuid in known:
                parts.append(self._part(uuid, provider.name, parent, provider))
            else:
                generation = self._add(uuid, provider.name, parent)
                parts.append(_Part(uuid, provider.name, parent, generation, {}, set(), provider, self._told.of(uuid)))
        for uuid in known.keys() - set(ids.values()):
            name, parent = known[uuid]["name"], known[uuid]["parent_provider_uuid"]
            if self._is_ours(uuid, name):
                parts.append(self._part(uuid, name, parent, None))
        return parts

    def _part(self, uuid: str, name: str, parent: str | None, wanted: Provider | None) -> _Part:
        # The older generation: whoever changes anything in between is noticed.
        inventories, generation = self._placement.inventories(uuid)
        traits, _ = self._placement.traits(uuid)
        return _Part(uuid, name, parent, generation, inventories, traits, wanted, self._told.of(uuid))

    def _check_name(self, root: Mapping[str, Any] | None, name: str) -> None:
        if root is not None and root["name"] != name:
            raise errors.Misconfigured(
                f"This host is called {name}, but its compute_id, {self._node}, is that of {root['name']} in Placement."
                " A host keeps its name for ever: set [DEFAULT] host as it was. If compute_id was copied from another "
                "host, remove it."
            )

    def _add(self, uuid: str, name: str, parent: str | None) -> int:
        try:
            return self._placement.add_provider(uuid, name, parent)
        except errors.Conflict:
            self._check_taken(name, uuid)
            raise

    def _check_taken(self, name: str, uuid: str) -> None:
        known = self._placement.provider_called(name)
        if known is not None and known != uuid:
            raise errors.Misconfigured(
                f"Placement knows {name} as {known}, and this host would make it {uuid}. If this host lost its "
                "compute_id, restore that file; if it is a new host with an old one's name, delete the old one's "
                "compute service and provider first."
            )

    def uuid_of(self, provider: Provider) -> str:
        """Return the UUID a provider of this host has in Placement."""
        return self._node if provider.parent is None else self._uuid_of(provider.name)

    def _uuid_of(self, part: str) -> str:
        """Return the UUID of a part of the host, which follows from its name: nothing need be remembered."""
        return str(uuids.uuid5(uuids.UUID(self._node), part))

    def _is_ours(self, uuid: str, name: str) -> bool:
        return uuid == self._uuid_of(name)

    # -- inventories that go --------------------------------------------------------------------------------------

    def _in_use(self, parts: Iterable[_Part]) -> dict[str, dict[str, dict[str, int]]]:
        """Return provider UUID → consumer → what it holds of classes that are to go."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for part in parts:
            if not part.lost:
                continue
            for consumer, amounts in self._placement.held(part.uuid).items():
                if lost := {name: amount for name, amount in amounts.items() if name in part.lost}:
                    found.setdefault(part.uuid, {})[consumer] = lost
        return found

    def _reshape(self, parts: Sequence[_Part], stuck: dict[str, dict[str, dict[str, int]]], left: list[str]) -> bool:
        """Move what is held to where its inventory went, with that inventory; return whether there was such a thing."""
        by_uuid = {part.uuid: part for part in parts}
        targets = _targets(by_uuid, stuck)
        if not targets:
            return False
        consumers = {
            consumer
            for uuid, held in stuck.items()
            for consumer, amounts in held.items()
            if any((uuid, name) in targets for name in amounts)
        }
        holdings = {consumer: self._placement.holding(consumer) for consumer in consumers}
        still = {consumer: holding for consumer, holding in holdings.items() if holding is not None}
        places = {(uuid, place[1]) for place, found in targets.items() for uuid in found}
        room = {(uuid, name): reshaping.Room.of(by_uuid[uuid].new[name]) for uuid, name in places}
        try:
            after = reshaping.moved(still, targets, room)
        except reshaping.NoRoom as exc:
            left.append(f"{parts[0].name} keeps its inventories where they were: {exc} fits nowhere in the new shape")
            _stay(by_uuid, targets, self._open)
            return False
        # What cannot move stays where it is, in the same breath.
        _keep(parts, stuck, [], but=targets.keys())
        changed = [part for part in parts if part.new != part.known]
        for part in changed:
            self._prepare(part)
        try:
            self._placement.reshape({part.uuid: (part.generation, part.new) for part in changed}, after)
        except errors.Conflict:
            self._close(targets)
            raise
        for place in targets:
            self._open.pop(place, None)
        LOG.info("Reshaped the tree of %s; allocations of %s consumers moved", parts[0].name, len(after))
        return True

    def _close(self, places: Iterable[reshaping.Place]) -> None:
        """Have nobody claim any more of inventories that are to move: each claim would put the reshaping off again."""
        for uuid in {uuid for uuid, _ in places}:
            names = {name for one, name in places if one == uuid}
            for _ in range(_MAX_TRIES_TO_CLOSE):
                known, generation = self._placement.inventories(uuid)
                closed = {name: {**known[name], "reserved": known[name]["total"]} for name in names & known.keys()}
                for name, entry in closed.items():
                    if entry != known[name]:
                        self._open[uuid, name] = known[name]
                try:
                    if known != known | closed:
                        self._placement.set_inventories(uuid, known | closed, generation)
                except errors.Conflict:
                    continue
                break

    # -- telling --------------------------------------------------------------------------------------------------

    def _tell(self, part: _Part) -> None:
        traits = part.traits if part.wanted is None else _traits(part)
        self._prepare(part)
        if part.new != part.known:
            part.generation = self._placement.set_inventories(part.uuid, part.new, part.generation)
        if traits != part.traits:
            for trait in sorted(traits - part.traits):
                self._make_trait(trait)
            self._placement.set_traits(part.uuid, traits, part.generation)
        own = self._told.of(part.uuid)
        self._told.note(part.uuid, Own(own.classes & part.new.keys(), own.traits & traits))

    def _prepare(self, part: _Part) -> None:
        """Make custom classes, and note what of the provider is the host's own before Placement hears of it."""
        added = part.new.keys() - part.known.keys()
        for name in sorted(added):
            if name.startswith(os_traits.CUSTOM_NAMESPACE):
                self._placement.ensure_class(name)
        tags = set[str]() if part.wanted is None else part.wanted.traits - part.traits
        own = Own(
            part.own.classes | (added - _HOST_CLASSES),
            part.own.traits | {trait for trait in tags if not _is_of_hosts(trait)},
        )
        self._told.note(part.uuid, own)

    def _make_trait(self, trait: str) -> None:
        if os_traits.is_custom(trait) and trait not in self._traits_made:
            self._placement.ensure_trait(trait)
            self._traits_made.add(trait)


def _plan(parts: Iterable[_Part]) -> None:
    """Say of every provider which inventories it is to have; a new one takes over the ratio of one it replaces."""
    parts = list(parts)
    for part in parts:
        foreign = {name: entry for name, entry in part.known.items() if not _is_own_class(name, part.own)}
        if part.wanted is not None:
            part.new = {**foreign, **{name: {} for name in part.wanted.inventories}}
    ratios = {name: part.known[name]["allocation_ratio"] for part in parts for name in part.lost}
    for part in parts:
        for name, wanted in (part.wanted.inventories if part.wanted else {}).items():
            part.new[name] = inventory.entry(wanted, part.known.get(name), ratios.get(name))


def _targets(
    parts: Mapping[str, _Part], stuck: Mapping[str, Mapping[str, Mapping[str, int]]]
) -> dict[reshaping.Place, list[str]]:
    """Return (provider, class) that is held and goes → the providers above or below it to which the class comes."""
    found: dict[reshaping.Place, list[str]] = {}
    for uuid, held in stuck.items():
        for name in {name for amounts in held.values() for name in amounts}:
            gaining = [
                part.uuid
                for part in parts.values()
                if name in part.new and name not in part.known and _is_line(parts, part.uuid, uuid)
            ]
            if gaining:
                found[uuid, name] = gaining
    return found


def _is_line(parts: Mapping[str, _Part], one: str, other: str) -> bool:
    """Return whether one of two providers is above the other."""
    return other in _above(parts, one) or one in _above(parts, other)


def _above(parts: Mapping[str, _Part], uuid: str) -> list[str]:
    found = []
    parent = parts[uuid].parent
    while parent is not None and parent in parts:
        found.append(parent)
        parent = parts[parent].parent
    return found


def _stay(
    parts: Mapping[str, _Part],
    targets: Mapping[reshaping.Place, Sequence[str]],
    as_they_were: Mapping[reshaping.Place, dict[str, Any]],
) -> None:
    """Leave inventories that were to move where they are, and offered."""
    for (uuid, name), gaining in targets.items():
        parts[uuid].new[name] = as_they_were.get((uuid, name), parts[uuid].known[name])
        for target in gaining:
            parts[target].new.pop(name, None)


def _keep(
    parts: Iterable[_Part],
    stuck: Mapping[str, Mapping[str, Mapping[str, int]]],
    left: list[str],
    *,
    but: Iterable[reshaping.Place] = (),
) -> None:
    """Keep inventories that are held and go, as they are, with nothing free: nobody gets more of them."""
    moving = set(but)
    for part in parts:
        held = stuck.get(part.uuid, {})
        for name in sorted({name for amounts in held.values() for name in amounts}):
            if name in part.new or (part.uuid, name) in moving:
                continue
            part.new[name] = {**part.known[name], "reserved": part.known[name]["total"]}
            holders = sorted(consumer for consumer, amounts in held.items() if name in amounts)
            more = f" and {len(holders) - _MAX_NAMED} more" if len(holders) > _MAX_NAMED else ""
            left.append(f"{part.name} no longer has {name}, still held by {', '.join(holders[:_MAX_NAMED])}{more}")


def _traits(part: _Part) -> set[str]:
    """Return the traits a provider is to have: the host's, and those others gave it."""
    foreign = {trait for trait in part.traits if not _is_own_trait(trait, part.own)}
    return foreign | (part.wanted.traits if part.wanted else set())


def _is_own_class(name: str, own: Own) -> bool:
    return name in _HOST_CLASSES or name in own.classes


def _is_own_trait(trait: str, own: Own) -> bool:
    return _is_of_hosts(trait) or trait in own.traits


def _is_of_hosts(trait: str) -> bool:
    """Return whether a trait is hosts' to decide on: what one can do and is, not what operators say of it."""
    return trait.startswith(("HW_", "COMPUTE_")) and trait != "COMPUTE_STATUS_DISABLED"
