"""Put together what Placement offers and what hosts are like: pure."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from nova_lite.model.candidates import Candidates
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import Selection

Offers = Mapping[str, dict[str, dict[str, int]]]


def offers_by_root(found: Candidates) -> Offers:
    """Return root provider UUID → the first allocations Placement offers there (provider → class → amount)."""
    offers: dict[str, dict[str, dict[str, int]]] = {}
    summaries = found.provider_summaries
    for candidate in found.allocation_requests:
        allocations: dict[str, dict[str, int]] | None = None
        for provider in candidate.allocations:
            root = summaries[provider].root_provider_uuid
            if root not in offers:
                if allocations is None:
                    allocations = {each: gives.resources for each, gives in candidate.allocations.items()}
                offers[root] = allocations
    return offers


def room_by_root(roots: Iterable[str], found: Candidates) -> dict[str, dict[str, int]]:
    """Return root provider UUID → class → what its whole tree has free."""
    rooms: dict[str, dict[str, int]] = {root: {} for root in roots}
    for summary in found.provider_summaries.values():
        root = summary.root_provider_uuid
        room = rooms.get(root)
        if room is None:
            continue
        if not room:
            rooms[root] = {name: stock.capacity - stock.used for name, stock in summary.resources.items()}
            continue
        for name, stock in summary.resources.items():
            room[name] = room.get(name, 0) + stock.capacity - stock.used
    return rooms


def selection(host: HostState, offers: Offers) -> Selection:
    """Return ``host`` as a choice, with what it takes in Placement."""
    return Selection(
        host=host.host,
        node=host.node,
        node_name=host.node_name,
        cell_id=host.cell_id,
        availability_zone=host.availability_zone,
        allocations=offers[host.node],
    )


def alternates(chosen: HostState, ranking: Sequence[HostState], offers: Offers, count: int) -> list[Selection]:
    """Return up to ``count`` further hosts of the chosen one's cell, best first."""
    others = (host for host in ranking if host.cell_id == chosen.cell_id and host.node != chosen.node)
    return [selection(host, offers) for host in itertools.islice(others, count)]
