"""What Placement talks about inside: values without I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SHARES = "MISC_SHARES_VIA_AGGREGATE"
#: Largest amount the wire and every database can carry.
MAX_INT = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a provider has of one class; ``used`` is what its allocations sum up to."""

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = MAX_INT
    step_size: int = 1
    allocation_ratio: float = 1.0
    used: int = 0
    #: When it was last written; what is used does not count.
    updated_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider with all that is its own; ``inventories`` goes by class name."""

    id: int
    uuid: str
    name: str
    generation: int
    parent_id: int | None
    root_id: int
    updated_at: float
    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()
    aggregates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProviderFilter:
    """Conditions on providers that every kind of question shares.

    ``required`` is a conjunction of sets of which one trait each is enough; ``member_of`` the same with aggregates.
    """

    required: tuple[frozenset[str], ...] = ()
    forbidden: frozenset[str] = frozenset()
    member_of: tuple[frozenset[str], ...] = ()
    forbidden_aggregates: frozenset[str] = frozenset()
    in_tree: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One request group: suffix "" may be spread over a tree and what it shares, any other is of one provider."""

    suffix: str
    resources: Mapping[str, int]
    where: ProviderFilter = ProviderFilter()


@dataclass(frozen=True, slots=True)
class Request:
    """A question for allocation candidates."""

    groups: tuple[Group, ...]
    isolate: bool = False
    root_required: frozenset[str] = frozenset()
    root_forbidden: frozenset[str] = frozenset()
    same_subtrees: tuple[frozenset[str], ...] = ()
    limit: int | None = None
    #: Before microversion 1.29 a candidate never takes from two providers of one tree.
    nested: bool = True


class Way(NamedTuple):
    """One way to place a request in trees that look alike; places are indexes of a tree's providers."""

    #: Place → class → amount
    allocations: tuple[tuple[int, Mapping[str, int]], ...]
    #: Suffix → the places that serve it
    mappings: tuple[tuple[str, tuple[int, ...]], ...]


class Candidate(NamedTuple):
    """One way to place a request on real providers: ``uuids`` goes by place."""

    uuids: Sequence[str]
    way: Way

    @property
    def allocations(self) -> dict[str, Mapping[str, int]]:
        """Provider UUID → class → amount."""
        return {self.uuids[place]: amounts for place, amounts in self.way.allocations}

    @property
    def mappings(self) -> dict[str, list[str]]:
        """Suffix → UUIDs of the providers that serve it."""
        return {suffix: [self.uuids[place] for place in places] for suffix, places in self.way.mappings}


@dataclass(frozen=True, slots=True)
class Claim:
    """All that a consumer shall hold from now on: provider UUID → class name → amount; empty means nothing.

    ``generation`` is what the client knows of the consumer: a number, None for "must be new",
    or ``ANY_GENERATION`` from clients older than that knowledge.
    """

    consumer_uuid: str
    allocations: Mapping[str, Mapping[str, int]]
    project_id: str
    user_id: str
    generation: int | None
    consumer_type: str | None = None
    #: Whether ``consumer_type`` was told at all; a consumer keeps its type when it was not.
    type_told: bool = False


ANY_GENERATION = -1


@dataclass(frozen=True, slots=True)
class Holding:
    """What one consumer holds, with who owns it; ``allocations`` as in ``Claim``."""

    consumer_uuid: str
    generation: int
    project_id: str
    user_id: str
    consumer_type: str | None
    allocations: Mapping[str, Mapping[str, int]]
    updated_at: float
