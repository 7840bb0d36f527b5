"""Does the Placement database contradict itself? Operators ask with ``placement audit``, tests after every race.

What must hold: an inventory's ``used`` is the sum of its allocations and fits what it may hold; allocations are of
what there is; a consumer holds something; trees have one root each and no loop. May run beside any load: what is told
was so at one moment. Who the consumers are, Placement cannot know: that is ``cells/orphans.py``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nova_lite import errors
from nova_lite.placement.repositories import audit
from nova_lite.placement.repositories.audit import Count, Link, Range
from nova_lite.storage import Database, retried

#: Rows looked at in one transaction.
BATCH = 1_000
#: Trees of several providers looked at in one transaction.
_TREES = 100
#: Allocations without consumer, provider or class told of one batch: foreign keys forbid them, so these are few.
_MAX_BROKEN = 1_000


class Kind(StrEnum):
    """What can be found. ``OVER`` alone is no contradiction: inventory may shrink below what is in use."""

    USED = "used"
    OVER = "over"
    NO_INVENTORY = "no inventory"
    ALLOCATION = "allocation"
    CONSUMER = "consumer"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found; ``text`` says it whole. ``row_id`` and ``class_id`` are what ``mend`` works on."""

    kind: Kind
    text: str
    provider: str | None = None
    resource_class: str | None = None
    consumer: str | None = None
    row_id: int = 0
    class_id: int = 0

    @property
    def is_wrong(self) -> bool:
        """Return whether rows contradict each other."""
        return self.kind is not Kind.OVER

    @property
    def can_be_mended(self) -> bool:
        """Return whether ``mend`` knows what is right: counters follow from allocations, roots from parents."""
        return self.kind in (Kind.USED, Kind.CONSUMER, Kind.TREE) and self.row_id != 0


def check(
    database: Database,
    *,
    provider: str | None = None,
    batch: int = BATCH,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Finding]:
    """Yield what is wrong in the whole database, or about one ``provider``; nothing when all is well.

    ``tell`` is called with how far it has come. Memory is that of one batch. Raises NotFound for an unknown provider.
    """
    if provider is not None:
        yield from _of_provider(database, provider)
        return
    with database.reader() as session:
        total = audit.count_providers(session)
    done, span = 0, Range(0, 0)
    while span.upto is not None:
        with database.reader() as session:
            span = audit.next_providers(session, span.upto, batch)
        yield from _of_range(database, span)
        done = min(done + batch, total)
        tell(f"the books of {done} of {total} providers checked")
    yield from _empty_consumers(database, batch, tell)
    yield from _loops(database)


def mend(database: Database, finding: Finding) -> bool:
    """Put right what was found, under lock; False when there is nothing to put right any more, or nobody can know how.

    Only what follows from other rows is written: a counter, a root, or the end of a consumer that holds nothing.
    """
    return finding.can_be_mended and _mend(database, finding)


@retried
def _mend(database: Database, finding: Finding) -> bool:
    with database.writer() as session:
        if finding.kind is Kind.USED:
            return audit.recount(session, finding.row_id, finding.class_id)
        if finding.kind is Kind.TREE:
            return audit.replant(session, finding.row_id)
        return audit.drop_empty_consumer(session, finding.row_id)


def _of_provider(database: Database, uuid: str) -> Iterator[Finding]:
    with database.reader() as session:
        row_id = audit.provider_id(session, uuid)
        if row_id is None:
            raise errors.NotFound(f"Placement's database has no resource provider {uuid}.")
        root_id = audit.root_of(session, row_id)
        tree = [] if root_id is None else audit.links(session, [root_id])
    yield from _of_range(database, Range(row_id - 1, row_id))
    yield from tree_faults(tree)


def _of_range(database: Database, span: Range) -> Iterator[Finding]:
    """Yield what is wrong about the inventories, allocations and places of a range of providers."""
    with database.reader() as session:
        counts = audit.wrong_counts(session, span)
        broken = audit.broken_allocations(session, span, _MAX_BROKEN)
        misplaced = audit.misplaced(session, span)
    for count in counts:
        yield from _of_count(count)
    for piece in broken:
        named = {"provider": piece.provider, "class": piece.resource_class, "consumer": piece.consumer}
        gone = ", ".join(what for what, name in named.items() if name is None)
        text = f"an allocation of {piece.amount}" + (f" whose {gone} does not exist" if gone else "")
        yield Finding(Kind.ALLOCATION, text, piece.provider, piece.resource_class, piece.consumer)
    for row_id, uuid, text in misplaced:
        yield Finding(Kind.TREE, text, uuid, row_id=row_id)


def _of_count(count: Count) -> Iterator[Finding]:
    ids = (count.provider, count.resource_class, None, count.provider_id, count.class_id)
    if count.used is None:
        yield Finding(Kind.NO_INVENTORY, f"{count.held} allocated, and no inventory of it", *ids)
        return
    if count.used != count.held:
        yield Finding(Kind.USED, f"{count.used} counted as used, {count.held} allocated", *ids)
    most = max(count.used, count.held)
    if most > count.capacity:
        yield Finding(Kind.OVER, f"{most} in use of {count.capacity:g}", *ids)


def _empty_consumers(database: Database, batch: int, tell: Callable[[str], None]) -> Iterator[Finding]:
    done, span = 0, Range(0, 0)
    while span.upto is not None:
        with database.reader() as session:
            span = audit.next_consumers(session, span.upto, batch)
            empty = audit.empty_consumers(session, span)
        for row_id, uuid in empty:
            yield Finding(Kind.CONSUMER, "a consumer that holds nothing", consumer=uuid, row_id=row_id)
        done += batch
        if span.upto is not None:
            tell(f"{done} consumers checked")


def _loops(database: Database) -> Iterator[Finding]:
    last: int | None = 0
    while last is not None:
        with database.reader() as session:
            roots = audit.nested_roots(session, last, _TREES)
            found = audit.links(session, roots) if roots else []
        yield from tree_faults(found)
        last = roots[-1] if roots else None


def tree_faults(links: Sequence[Link]) -> Iterator[Finding]:
    """Yield the providers from which no way up ends: pure. ``links`` are whole trees."""
    parents = {link.id: link.parent_id for link in links}
    ends: set[int] = {link.id for link in links if link.parent_id is None}
    for link in links:
        way: dict[int, None] = {}
        current: int | None = link.id
        while current is not None and current in parents and current not in ends and current not in way:
            way[current] = None
            current = parents[current]
        if current in way:
            yield Finding(Kind.TREE, "is in or below a loop of parents", link.uuid)
        else:
            # A parent outside of these trees is told where roots are compared.
            ends.update(way)
