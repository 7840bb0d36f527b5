"""Put together what Placement offers and what hosts are like: pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nova_lite.model.host import HostState
from nova_lite.model.request_spec import Selection

Offers = Mapping[str, dict[str, dict[str, int]]]


def offers_by_root(requests: Sequence[Mapping[str, Any]], summaries: Mapping[str, Any]) -> Offers:
    """Return root provider UUID → the first allocations Placement offers there (provider → class → amount)."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for request in requests:
        allocations = {provider: entry["resources"] for provider, entry in request["allocations"].items()}
        for provider in allocations:
            found.setdefault(summaries[provider]["root_provider_uuid"], allocations)
    return found


def room_by_root(roots: Iterable[str], summaries: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return root provider UUID → class → what its whole tree has free."""
    found: dict[str, dict[str, int]] = {root: {} for root in roots}
    for summary in summaries.values():
        room = found.get(summary["root_provider_uuid"])
        if room is not None:
            for name, entry in summary["resources"].items():
                room[name] = room.get(name, 0) + entry["capacity"] - entry["used"]
    return found


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
    others = [host for host in ranking if host.cell_id == chosen.cell_id and host.node != chosen.node]
    return [selection(host, offers) for host in others[:count]]
