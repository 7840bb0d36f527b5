"""Host aggregates, mirrored to Placement: the provider of each member is put into the aggregate of the same UUID.

``follow`` does it for one host and one aggregate that just changed; ``put`` for a host and all it is in. That one takes
nothing away: a provider may be in aggregates that are not ours, and nobody can tell those from ours of old.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from nova_lite import errors
from nova_lite.cells.offline import CellDatabases
from nova_lite.clients.placement import PlacementClient
from nova_lite.db.repositories import aggregates, hosts, mappings
from nova_lite.storage import Database

#: Tries at one provider that others change at the same time.
_MAX_TRIES = 5


class Outcome(StrEnum):
    """What came of a member."""

    FINE = "nothing to do"
    ADDED = "added"
    SEVERAL_NODES = "has several compute nodes"
    CONTENDED = "changes faster than it can be told"
    NOT_MAPPED = "is mapped to no cell"
    NO_NODE = "has no compute node"
    NO_PROVIDER = "has no resource provider"
    SILENT = "its cell does not answer"


@dataclass(frozen=True, slots=True)
class Member:
    """A host that is in aggregates, the provider it is known by, or the problem that leaves it without one."""

    host: str
    aggregates: frozenset[str]
    provider: str = ""
    problem: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What came of a host; ``added`` are the aggregates its provider was not in."""

    host: str
    outcome: Outcome
    provider: str = ""
    added: tuple[str, ...] = ()


def members(api_db: Database, cells: CellDatabases) -> list[Member]:
    """Return every host that is in an aggregate, by name."""
    with api_db.reader() as session:
        wanted: dict[str, set[str]] = {}
        for aggregate in aggregates.all_of_them(session):
            for host in aggregate.hosts:
                wanted.setdefault(host, set()).add(aggregate.uuid)
        homes = mappings.hosts(session)
    nodes = _nodes(cells, {cell_uuid for host, cell_uuid in homes.items() if host in wanted})
    return [
        _member(host, frozenset(uuids), nodes.get(host, []), homes.get(host), cells)
        for host, uuids in sorted(wanted.items())
    ]


def _member(host: str, uuids: frozenset[str], nodes: list[str], home: str | None, cells: CellDatabases) -> Member:
    if home is None:
        return Member(host, uuids, problem=Outcome.NOT_MAPPED)
    if home in cells.down:
        return Member(host, uuids, problem=Outcome.SILENT)
    if len(nodes) != 1:
        return Member(host, uuids, problem=Outcome.SEVERAL_NODES if nodes else Outcome.NO_NODE)
    return Member(host, uuids, nodes[0])


def _nodes(cells: CellDatabases, homes: set[str]) -> dict[str, list[str]]:
    """Return host → UUIDs of its compute nodes, of the cells ``homes``."""
    nodes: dict[str, list[str]] = {}
    for cell in cells.cells:
        if cell.uuid in homes:
            for uuid, host in (cells.ask(cell, hosts.node_hosts) or {}).items():
                nodes.setdefault(host, []).append(uuid)
    return nodes


def follow(placement: PlacementClient, provider: str, aggregate: str, is_member: Callable[[], bool]) -> Outcome:
    """Have a provider be in an aggregate, or not, as ``is_member`` says; what Placement had of others stays.

    The truth is asked again after each write: whoever changed it meanwhile may have looked before the write.
    """
    for _ in range(_MAX_TRIES):
        wanted = is_member()
        known = placement.aggregates(provider)
        if known is None:
            return Outcome.NO_PROVIDER
        already, generation = known
        if (aggregate in already) == wanted:
            return Outcome.FINE
        changed = already | {aggregate} if wanted else already - {aggregate}
        with contextlib.suppress(errors.Conflict):
            placement.set_aggregates(provider, changed, generation)
    return Outcome.CONTENDED


def put(placement: PlacementClient, member: Member) -> Mirrored:
    """Put a host's provider into its aggregates, against others who change it at the same time."""
    host, provider = member.host, member.provider
    if member.problem is not None:
        return Mirrored(host, member.problem)
    for _ in range(_MAX_TRIES):
        known = placement.aggregates(provider)
        if known is None:
            return Mirrored(host, Outcome.NO_PROVIDER, provider)
        already, generation = known
        added = tuple(sorted(member.aggregates - already))
        if not added:
            return Mirrored(host, Outcome.FINE, provider)
        try:
            placement.set_aggregates(provider, already | member.aggregates, generation)
        except errors.Conflict:
            continue
        return Mirrored(host, Outcome.ADDED, provider, added)
    return Mirrored(host, Outcome.CONTENDED, provider)
