"""Where the rows of the Placement database contradict each other: found by the database, a range of ids at a time.

Each question that compares rows is one statement, which sees one moment on every database: writers that commit
meanwhile cannot make it see half of what they did. Counters and consumers are mended here too, under the lock of what
they count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from nova_lite.placement.repositories import changes
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.tables import AllocationRow, ConsumerRow, InventoryRow, ProviderRow, ResourceClassRow

IdColumn = sa.orm.InstrumentedAttribute[int]

#: Ids named in one statement, at most.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Range:
    """Ids above ``after`` up to ``upto``; None has no end."""

    after: int
    upto: int | None

    def holds(self, column: IdColumn) -> sa.ColumnElement[bool]:
        """Return the condition that ``column`` is in the range."""
        above = column > self.after
        return above if self.upto is None else sa.and_(above, column <= self.upto)


@dataclass(frozen=True, slots=True)
class Count:
    """One class of one provider: what its inventory says is used, what is allocated, and what there is to allocate.

    ``used`` is None where there is no inventory; names are None where the row they name is gone.
    """

    provider_id: int
    class_id: int
    provider: str | None
    resource_class: str | None
    used: int | None
    held: int
    capacity: float


@dataclass(frozen=True, slots=True)
class Piece:
    """An allocation that cannot be; names are None where the row they name is gone."""

    provider: str | None
    resource_class: str | None
    consumer: str | None
    amount: int


@dataclass(frozen=True, slots=True)
class Link:
    """A provider's place in its tree, by ids."""

    id: int
    uuid: str
    parent_id: int | None
    root_id: int | None


def provider_id(session: Session, uuid: str) -> int | None:
    """Return a provider's id, or None when there is none of that UUID."""
    return session.scalar(sa.select(ProviderRow.id).where(ProviderRow.uuid == uuid))


def count_providers(session: Session) -> int:
    """Return how many providers there are."""
    return session.scalar(sa.select(sa.func.count()).select_from(ProviderRow)) or 0


def count_consumers_of(session: Session, project_id: str) -> int:
    """Return how many consumers a project has."""
    counted = sa.select(sa.func.count()).select_from(ConsumerRow).where(ConsumerRow.project_id == project_id)
    return session.scalar(counted) or 0


def next_providers(session: Session, after: int, limit: int) -> Range:
    """Return the range of the next ``limit`` providers behind id ``after``, open when they are the last."""
    return _next(session, ProviderRow.id, after, limit)


def next_consumers(session: Session, after: int, limit: int) -> Range:
    """Return the range of the next ``limit`` consumers behind id ``after``, open when they are the last."""
    return _next(session, ConsumerRow.id, after, limit)


def _next(session: Session, column: IdColumn, after: int, limit: int) -> Range:
    last = session.scalar(sa.select(column).where(column > after).order_by(column).offset(limit - 1).limit(1))
    return Range(after, last)


def wrong_counts(session: Session, providers: Range) -> list[Count]:
    """Return what is counted otherwise than it is allocated, is more than there is, or is allocated of no inventory.

    Inventories and allocations are added up side by side, not joined: one pass over each, whatever the planner thinks.
    """
    nothing = sa.literal_column("0", sa.BigInteger)
    sides = sa.union_all(
        sa.select(
            InventoryRow.provider_id.label("provider_id"),
            InventoryRow.class_id.label("class_id"),
            InventoryRow.used.label("used"),
            nothing.label("held"),
            ((InventoryRow.total - InventoryRow.reserved) * InventoryRow.allocation_ratio).label("capacity"),
            sa.literal_column("1", sa.BigInteger).label("inventories"),
        ).where(providers.holds(InventoryRow.provider_id)),
        sa.select(
            AllocationRow.provider_id,
            AllocationRow.class_id,
            nothing,
            AllocationRow.used,
            sa.literal_column("0.0", sa.Double),
            nothing,
        ).where(providers.holds(AllocationRow.provider_id)),
    ).subquery()
    side = sides.c
    used, held, capacity = (sa.func.sum(column) for column in (side.used, side.held, side.capacity))
    inventories = sa.func.sum(side.inventories)
    rows = session.execute(
        sa.select(side.provider_id, side.class_id, used, held, capacity, inventories)
        .group_by(side.provider_id, side.class_id)
        .having(sa.or_(used != held, inventories == 0, sa.and_(used > capacity, used > 0)))
        .order_by(side.provider_id, side.class_id)
    ).all()
    provider_names = _names(session, ProviderRow.id, ProviderRow.uuid, {row[0] for row in rows})
    class_names = _names(session, ResourceClassRow.id, ResourceClassRow.name, {row[1] for row in rows})
    return [
        Count(
            row[0],
            row[1],
            provider_names.get(row[0]),
            class_names.get(row[1]),
            used=int(row[2]) if row[5] else None,
            held=int(row[3]),
            capacity=float(row[4]),
        )
        for row in rows
    ]


def _names(
    session: Session, ids: IdColumn, names: sa.orm.InstrumentedAttribute[str], wanted: set[int]
) -> dict[int, str]:
    """Return id → name of those of ``wanted`` that there are."""
    ordered, found = sorted(wanted), dict[int, str]()
    for start in range(0, len(ordered), _CHUNK):
        chunk = ordered[start : start + _CHUNK]
        found |= dict(session.execute(sa.select(ids, names).where(ids.in_(chunk))).all())
    return found


def broken_allocations(session: Session, providers: Range, limit: int) -> list[Piece]:
    """Return up to ``limit`` allocations of less than one, or that name a consumer, provider or class there is not."""
    rows = session.execute(
        sa.select(ProviderRow.uuid, ResourceClassRow.name, ConsumerRow.uuid, AllocationRow.used)
        .select_from(AllocationRow)
        .outerjoin(ProviderRow, ProviderRow.id == AllocationRow.provider_id)
        .outerjoin(ResourceClassRow, ResourceClassRow.id == AllocationRow.class_id)
        .outerjoin(ConsumerRow, ConsumerRow.id == AllocationRow.consumer_id)
        .where(
            providers.holds(AllocationRow.provider_id),
            sa.or_(
                AllocationRow.used < 1,
                ProviderRow.id.is_(None),
                ResourceClassRow.id.is_(None),
                ConsumerRow.id.is_(None),
            ),
        )
        .order_by(AllocationRow.provider_id, AllocationRow.class_id, AllocationRow.consumer_id)
        .limit(limit)
    )
    return [Piece(*row) for row in rows]


def empty_consumers(session: Session, consumers: Range) -> list[tuple[int, str]]:
    """Return id and UUID of consumers that hold nothing."""
    holds = sa.select(AllocationRow.class_id).where(AllocationRow.consumer_id == ConsumerRow.id).exists()
    rows = session.execute(
        sa.select(ConsumerRow.id, ConsumerRow.uuid)
        .where(consumers.holds(ConsumerRow.id), sa.not_(holds))
        .order_by(ConsumerRow.id)
    )
    return [(row_id, uuid) for row_id, uuid in rows]


def misplaced(session: Session, providers: Range) -> list[tuple[int, str, str]]:
    """Return providers whose root is not the one their parent has: id (0: no parent there), UUID, what is wrong."""
    parent = aliased(ProviderRow)
    rows = session.execute(
        sa.select(ProviderRow.id, ProviderRow.uuid, ProviderRow.parent_id, parent.id.is_not(None))
        .outerjoin(parent, parent.id == ProviderRow.parent_id)
        .where(
            providers.holds(ProviderRow.id),
            sa.or_(
                ProviderRow.root_id.is_(None),
                sa.and_(ProviderRow.parent_id.is_(None), ProviderRow.root_id != ProviderRow.id),
                sa.and_(ProviderRow.parent_id.is_not(None), parent.id.is_(None)),
                ProviderRow.root_id != parent.root_id,
            ),
        )
        .order_by(ProviderRow.id)
    )
    found: list[tuple[int, str, str]] = []
    for row_id, uuid, parent_id, has_parent in rows:
        if parent_id is None:
            found.append((row_id, uuid, "has no parent, yet is not its own root"))
        elif not has_parent:
            found.append((0, uuid, "has a parent that does not exist"))
        else:
            found.append((row_id, uuid, "has another root than its parent"))
    return found


def nested_roots(session: Session, after: int, limit: int) -> list[int]:
    """Return the next ``limit`` ids, behind ``after``, that providers with a parent name as their root."""
    rows = session.scalars(
        sa.select(ProviderRow.root_id)
        .where(ProviderRow.parent_id.is_not(None), ProviderRow.root_id > after)
        .group_by(ProviderRow.root_id)
        .order_by(ProviderRow.root_id)
        .limit(limit)
    )
    return [root_id for root_id in rows if root_id is not None]


def links(session: Session, roots: Sequence[int]) -> list[Link]:
    """Return every provider that names one of ``roots`` as its root."""
    rows = session.execute(
        sa.select(ProviderRow.id, ProviderRow.uuid, ProviderRow.parent_id, ProviderRow.root_id)
        .where(ProviderRow.root_id.in_(roots))
        .order_by(ProviderRow.id)
    )
    return [Link(*row) for row in rows]


def root_of(session: Session, row_id: int) -> int | None:
    """Return the id of the root that a provider names."""
    return session.scalar(sa.select(ProviderRow.root_id).where(ProviderRow.id == row_id))


def recount(session: Session, row_id: int, class_id: int) -> bool:
    """Set an inventory's counter to the sum of its allocations; False when it is that, or gone.

    Whoever changes allocations holds the inventory's row, so with that row in hand the sum stands still.
    """
    key = (InventoryRow.provider_id == row_id, InventoryRow.class_id == class_id)
    used = session.scalar(sa.select(InventoryRow.used).where(*key).with_for_update())
    if used is None:
        return False
    held = int(
        session.scalar(
            sa.select(sa.func.coalesce(sa.func.sum(AllocationRow.used), 0)).where(
                AllocationRow.provider_id == row_id, AllocationRow.class_id == class_id
            )
        )
        or 0
    )
    if used == held:
        return False
    session.execute(
        sa.update(InventoryRow).where(*key).values(used=held), execution_options={"synchronize_session": False}
    )
    changes.note(session, [row_id], Kind.USAGE)
    return True


def replant(session: Session, row_id: int) -> bool:
    """Give a provider, and all below it, the root that its parents lead to; False when they have it, or lead nowhere.

    The way up is locked before the way down is looked at, so that nothing moves in or out meanwhile.
    """
    way: list[int] = []
    above: int | None = row_id
    while above is not None:
        parents = sa.select(ProviderRow.parent_id).where(ProviderRow.id == above).with_for_update()
        found = list(session.scalars(parents))
        if not found or above in way:
            return False
        way.append(above)
        above = found[0]
    root_id = way[-1]
    below, level = {row_id}, [row_id]
    while level:
        rows = session.scalars(sa.select(ProviderRow.id).where(ProviderRow.parent_id.in_(level)).with_for_update())
        level = [child for child in rows if child not in below]
        below.update(level)
    moved = list(
        session.scalars(
            sa.select(ProviderRow.id).where(
                ProviderRow.id.in_(sorted(below)),
                sa.or_(ProviderRow.root_id.is_(None), ProviderRow.root_id != root_id),
            )
        )
    )
    if moved:
        session.execute(sa.update(ProviderRow).where(ProviderRow.id.in_(moved)).values(root_id=root_id))
        changes.note(session, moved, Kind.PROVIDER)
    return bool(moved)


def drop_empty_consumer(session: Session, row_id: int) -> bool:
    """Remove a consumer that holds nothing; False when it holds something now, or is gone."""
    locked = session.scalar(sa.select(ConsumerRow.id).where(ConsumerRow.id == row_id).with_for_update())
    if locked is None:
        return False
    holds = session.scalar(sa.select(AllocationRow.class_id).where(AllocationRow.consumer_id == row_id).limit(1))
    if holds is not None:
        return False
    session.execute(sa.delete(ConsumerRow).where(ConsumerRow.id == row_id))
    return True
