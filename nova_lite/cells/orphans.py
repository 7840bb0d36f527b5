"""Allocations whose consumer is nobody: what Placement counts as used and no server will ever give back.

A consumer is somebody while it is a live server in some cell or a move that is not over, is accepted and in no cell
yet, or is what unfinished work is about. A server is written down before anything is claimed for it, so whoever holds
something and is nobody *afterwards* is an orphan. Each is looked at twice all the same: an answer that was late may be
giving its claim back.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells.offline import CellDatabases
from nova_lite.clients.placement import Holding, PlacementClient
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import claimants
from nova_lite.storage import Database

#: Consumers asked about at once.
_BATCH = 500
#: Seconds between the first and the second look.
SECOND_LOOK_S = 1.0
#: Types of consumer that are ours; ``unknown`` is one whose type nobody told.
OURS = frozenset({"INSTANCE", "MIGRATION", "unknown"})


@dataclass(frozen=True, slots=True)
class Orphan:
    """A consumer that is nobody, and what it holds."""

    consumer: str
    held: Holding


@dataclass(slots=True)
class Survey:
    """What was found. ``unjudged`` (consumer → why) may be orphans, ``foreign`` are of a type that is not ours."""

    orphans: list[Orphan] = field(default_factory=list)
    unjudged: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)


def survey(
    api_db: Database,
    cells: CellDatabases,
    placement: PlacementClient,
    *,
    provider: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Survey:
    """Return who holds something, of every provider or one, and is nobody; raises NotFound for an unknown provider.

    Nothing in flight is told: neither what is accepted and in no cell yet, nor what is being worked on.
    """
    found = Survey()
    suspects: dict[str, None] = {}
    for batch in _batches(placement, provider, tell):
        suspects |= dict.fromkeys(_nobodies(api_db, cells, batch, found.unjudged))
    if suspects:
        time.sleep(SECOND_LOOK_S)
    again = list(suspects)
    for start in range(0, len(again), _BATCH):
        batch = again[start : start + _BATCH]
        held = {consumer: holding for consumer in batch if (holding := placement.holding(consumer)) is not None}
        for consumer in _nobodies(api_db, cells, list(held), found.unjudged):
            if held[consumer].consumer_type in OURS:
                found.orphans.append(Orphan(consumer, held[consumer]))
            else:
                found.foreign.append(consumer)
        tell(f"{start + len(batch)} of {len(again)} suspicious consumers looked at again")
    return found


def free(placement: PlacementClient, orphan: Orphan) -> bool:
    """Take from an orphan all it was seen to hold; False when it changed meanwhile, and so is somebody's."""
    held = orphan.held
    try:
        placement.hold(orphan.consumer, {}, held.generation, project_id=held.project_id, user_id=held.user_id)
    except errors.Conflict:
        return placement.holding(orphan.consumer) is None
    return True


def _batches(placement: PlacementClient, provider: str | None, tell: Callable[[str], None]) -> Iterator[Sequence[str]]:
    """Yield who holds something, some hundreds at a time; one who holds of several providers may come again."""
    providers = placement.providers() if provider is None else [provider]
    batch: dict[str, None] = {}
    for number, uuid in enumerate(providers, start=1):
        consumers = placement.consumers(uuid)
        if consumers is None and provider is not None:
            raise errors.NotFound(f"Placement has no resource provider {provider}.")
        for consumer in consumers or ():
            batch[consumer] = None
            if len(batch) == _BATCH:
                yield list(batch)
                batch = {}
        tell(f"the allocations of {number} of {len(providers)} providers looked at")
    if batch:
        yield list(batch)


def _nobodies(api_db: Database, cells: CellDatabases, consumers: Sequence[str], unjudged: dict[str, str]) -> list[str]:
    """Return those of ``consumers`` that are nobody; those that only a silent cell knows go to ``unjudged``.

    A mapping tells which cell to ask; a server without one (``map_instances`` was not run) may live in any.
    """
    if not consumers:
        return []
    with api_db.reader() as session:
        mapped = claimants.mapped(session, consumers)
        busy = claimants.at_work(session, ApiWorkflowRow, consumers)
    unborn = {uuid for uuid, cell_uuid in mapped.items() if cell_uuid is None}
    left = [uuid for uuid in consumers if uuid not in busy and uuid not in unborn]
    homes = {uuid: {mapped[uuid]} if uuid in mapped else {cell.uuid for cell in cells.cells} for uuid in left}
    known: set[str] = set()
    for cell in cells.cells:
        here = [uuid for uuid in left if cell.uuid in homes[uuid] and uuid not in known]
        if here:
            known |= cells.ask(cell, partial(_known, uuids=here)) or set()
    nobodies = [uuid for uuid in left if uuid not in known]
    silent = {*cells.down, *mapped.values()} - {cell.uuid for cell in cells.cells if cell.uuid not in cells.down}
    for uuid in nobodies:
        if homes[uuid] & silent:
            unjudged[uuid] = "a cell it may live in does not answer"
        else:
            unjudged.pop(uuid, None)
    return [uuid for uuid in nobodies if uuid not in unjudged]


def _known(session: Session, uuids: Sequence[str]) -> set[str]:
    """Return those of ``uuids`` that a cell has, or works on."""
    return claimants.living(session, uuids) | claimants.at_work(session, CellWorkflowRow, uuids)
