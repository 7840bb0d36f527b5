"""What Placement answers to the question for candidates, as far as it is read here.

Read into these a thousand candidates cost a millisecond; as dictionaries of all there is in them they cost fifty.
"""

import msgspec


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """What one provider gives: class → amount."""

    resources: dict[str, int]


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One way to place a request: provider UUID → what it gives."""

    allocations: dict[str, Amounts]


class Stock(msgspec.Struct, frozen=True, gc=False):
    """How much of a class a provider has, and how much of it is taken."""

    capacity: int
    used: int


class Summary(msgspec.Struct, frozen=True, gc=False):
    """A provider that a candidate is about: class → how much it has; and whose tree it is in."""

    root_provider_uuid: str
    resources: dict[str, Stock]


class Candidates(msgspec.Struct, frozen=True, gc=False):
    """An answer to the question for candidates, without what nobody here reads."""

    allocation_requests: list[Candidate]
    provider_summaries: dict[str, Summary]


class Described(Summary, frozen=True, gc=False):
    """A provider with its traits."""

    traits: list[str]


class Stocks(msgspec.Struct, frozen=True, gc=False):
    """An answer to the question for candidates, for those who want to know the providers."""

    allocation_requests: list[Candidate]
    provider_summaries: dict[str, Described]
