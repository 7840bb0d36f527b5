"""Resource providers, their trees, inventories, traits and aggregates: the rows, written under generations."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.placement.model import Inventory, Provider
from nova_lite.placement.repositories import changes, names
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.tables import (
    AllocationRow,
    InventoryRow,
    ProviderAggregateRow,
    ProviderRow,
    ProviderTraitRow,
    ResourceClassRow,
    TraitRow,
)
from nova_lite.storage import Reads, epoch_now

_CHUNK = 500


def load(connection: Reads, provider_ids: Collection[int] | None = None) -> list[Provider]:
    """Return providers whole: those of ``provider_ids`` that exist, or all of them.

    Equal sets of traits or aggregates are one object, so that many alike providers take little memory.
    """
    if provider_ids is None:
        return _load(connection, lambda column: sa.true())
    found: list[Provider] = []
    for chunk in _chunks(provider_ids):
        found += _load(connection, lambda column, chunk=chunk: column.in_(chunk))  # type: ignore[misc]
    return found


def load_use(connection: Reads, provider_ids: Collection[int]) -> dict[int, tuple[int, dict[str, int]]]:
    """Return provider id → (generation, class name → used) of those of ``provider_ids`` that exist."""
    use: dict[int, tuple[int, dict[str, int]]] = {}
    for chunk in _chunks(provider_ids):
        rows = connection.execute(
            sa.select(ProviderRow.id, ProviderRow.generation, ResourceClassRow.name, InventoryRow.used)
            .outerjoin(InventoryRow, InventoryRow.provider_id == ProviderRow.id)
            .outerjoin(ResourceClassRow, ResourceClassRow.id == InventoryRow.class_id)
            .where(ProviderRow.id.in_(chunk))
        )
        for provider_id, generation, name, used in rows:
            amounts = use.setdefault(provider_id, (generation, {}))[1]
            if name is not None:
                amounts[name] = used
    return use


def _chunks(provider_ids: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(provider_ids)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def _load(connection: Reads, chosen: Callable[[Any], sa.ColumnElement[bool]]) -> list[Provider]:
    """Return the providers whose id column is ``chosen``."""
    inventories: dict[int, dict[str, Inventory]] = {}
    for provider_id, name, total, reserved, min_unit, max_unit, step_size, ratio, used in connection.execute(
        sa.select(
            InventoryRow.provider_id,
            ResourceClassRow.name,
            InventoryRow.total,
            InventoryRow.reserved,
            InventoryRow.min_unit,
            InventoryRow.max_unit,
            InventoryRow.step_size,
            InventoryRow.allocation_ratio,
            InventoryRow.used,
        )
        .join(ResourceClassRow, ResourceClassRow.id == InventoryRow.class_id)
        .where(chosen(InventoryRow.provider_id))
        .order_by(InventoryRow.provider_id, InventoryRow.class_id)
    ):
        inventory = Inventory(total, reserved, min_unit, max_unit, step_size, ratio, used)
        inventories.setdefault(provider_id, {})[sys.intern(name)] = inventory
    traits = _sets(
        connection.execute(
            sa.select(ProviderTraitRow.provider_id, TraitRow.name)
            .join(TraitRow, TraitRow.id == ProviderTraitRow.trait_id)
            .where(chosen(ProviderTraitRow.provider_id))
        )
    )
    aggregates = _sets(
        connection.execute(
            sa.select(ProviderAggregateRow.provider_id, ProviderAggregateRow.aggregate_uuid).where(
                chosen(ProviderAggregateRow.provider_id)
            )
        )
    )
    rows = connection.execute(
        sa.select(
            ProviderRow.id,
            ProviderRow.uuid,
            ProviderRow.name,
            ProviderRow.generation,
            ProviderRow.parent_id,
            ProviderRow.root_id,
            ProviderRow.updated_at,
        )
        .where(chosen(ProviderRow.id))
        .order_by(ProviderRow.id)
    )
    nothing: dict[str, Inventory] = {}
    return [
        Provider(
            provider_id,
            uuid,
            name,
            generation,
            parent_id,
            root_id if root_id is not None else provider_id,
            updated_at,
            inventories.get(provider_id, nothing),
            traits.get(provider_id, frozenset()),
            aggregates.get(provider_id, frozenset()),
        )
        for provider_id, uuid, name, generation, parent_id, root_id, updated_at in rows
    ]


def _sets(rows: Iterable[Any]) -> dict[int, frozenset[str]]:
    """Return provider id → its words, each word and each set of them one object."""
    words: dict[int, list[str]] = {}
    for provider_id, word in rows:
        words.setdefault(provider_id, []).append(sys.intern(word))
    known: dict[frozenset[str], frozenset[str]] = {}
    sets: dict[int, frozenset[str]] = {}
    for provider_id, listed in words.items():
        fresh = frozenset(listed)
        sets[provider_id] = known.setdefault(fresh, fresh)
    return sets


def inventory_from(row: InventoryRow) -> Inventory:
    """Return the inventory a row holds."""
    return Inventory(
        total=row.total,
        reserved=row.reserved,
        min_unit=row.min_unit,
        max_unit=row.max_unit,
        step_size=row.step_size,
        allocation_ratio=row.allocation_ratio,
        used=row.used,
    )


def get(session: Session, uuid: str) -> Provider:
    """Return the provider of that UUID whole; raises NotFound."""
    return load(session, [_id(session, uuid)])[0]


def _id(session: Session, uuid: str) -> int:
    found = session.scalar(sa.select(ProviderRow.id).where(ProviderRow.uuid == uuid))
    if found is None:
        raise _not_found(uuid)
    return found


def _not_found(uuid: str) -> errors.NotFound:
    return errors.NotFound(f"No resource provider with uuid {uuid} found.")


def create(session: Session, uuid: str, name: str, parent_uuid: str | None) -> None:
    """Add a provider; raises Conflict for a taken name or UUID, Invalid for a parent that does not exist."""
    parent_id = root_id = None
    if parent_uuid is not None:
        parent = _lock_parent(session, parent_uuid)
        parent_id, root_id = parent.id, parent.root_id
    row = ProviderRow(uuid=uuid, name=name, generation=0, parent_id=parent_id, root_id=root_id, updated_at=epoch_now())
    session.add(row)
    _flush_names(session, uuid, name)
    if root_id is None:
        row.root_id = row.id
    changes.note(session, [row.id], Kind.PROVIDER)


def _lock_parent(session: Session, uuid: str) -> ProviderRow:
    parent = session.scalar(sa.select(ProviderRow).filter_by(uuid=uuid).with_for_update())
    if parent is None:
        raise errors.Invalid(f"parent_provider_uuid: no resource provider with uuid {uuid} found.")
    return parent


def _flush_names(session: Session, uuid: str, name: str) -> None:
    try:
        session.flush()
    except IntegrityError as exc:
        raise errors.Conflict(
            f"Conflicting resource provider: name {name} or uuid {uuid} is taken.", code="placement.duplicate_name"
        ) from exc


def update(
    session: Session, uuid: str, name: str, parent_uuid: str | None, *, parent_told: bool, may_move: bool
) -> None:
    """Rename a provider and, when ``parent_told``, put it below ``parent_uuid`` (None: make it a root).

    Without ``may_move`` only a provider without parent can get one. Raises: NotFound, Conflict, Invalid.
    """
    row = session.scalar(sa.select(ProviderRow).filter_by(uuid=uuid).with_for_update())
    if row is None:
        raise _not_found(uuid)
    touched = [row.id]
    row.name = name
    row.updated_at = epoch_now()
    _flush_names(session, uuid, name)
    if parent_told:
        touched += _move(session, row, parent_uuid, may_move)
    changes.note(session, touched, Kind.PROVIDER)


def _move(session: Session, row: ProviderRow, parent_uuid: str | None, may_move: bool) -> list[int]:
    """Put ``row`` and all below it under another parent and return the ids of the providers that moved."""
    parent = None if parent_uuid is None else _lock_parent(session, parent_uuid)
    new_parent_id = None if parent is None else parent.id
    if new_parent_id == row.parent_id:
        return []
    if row.parent_id is not None and not may_move:
        what = "un-parenting" if parent is None else "re-parenting"
        raise errors.Invalid(f"parent_provider_uuid: {what} a provider is not currently allowed.")
    below = _subtree(session, row)
    if parent is not None and parent.id in below:
        raise errors.Invalid(
            f"parent_provider_uuid: {parent_uuid} is in the subtree of {row.uuid}: that would be a loop."
        )
    new_root_id = row.id if parent is None else parent.root_id
    row.parent_id = new_parent_id
    session.flush()
    session.execute(sa.update(ProviderRow).where(ProviderRow.id.in_(below)).values(root_id=new_root_id))
    return sorted(below)


def _subtree(session: Session, row: ProviderRow) -> set[int]:
    """Return the ids of a provider and all below it, its whole tree locked."""
    links = session.execute(
        sa.select(ProviderRow.id, ProviderRow.parent_id)
        .where(ProviderRow.root_id == row.root_id)
        .order_by(ProviderRow.id)
        .with_for_update()
    )
    children: dict[int | None, list[int]] = {}
    for provider_id, parent_id in links:
        children.setdefault(parent_id, []).append(provider_id)
    below, waiting = set[int](), [row.id]
    while waiting:
        current = waiting.pop()
        if current not in below:
            below.add(current)
            waiting += children.get(current, [])
    return below


def delete(session: Session, uuid: str) -> None:
    """Remove a provider with its inventories; raises NotFound, or Conflict for children or allocations."""
    row = session.scalar(sa.select(ProviderRow).filter_by(uuid=uuid).with_for_update())
    if row is None:
        raise _not_found(uuid)
    in_use = errors.Conflict(
        f"Unable to delete resource provider {uuid}: it has allocations.", code="placement.resource_provider.inuse"
    )
    has_children = errors.Conflict(
        f"Unable to delete parent resource provider {uuid}: it has child resource providers.",
        code="placement.resource_provider.cannot_delete_parent",
    )
    if session.scalar(sa.select(ProviderRow.id).where(ProviderRow.parent_id == row.id).limit(1)) is not None:
        raise has_children
    if (
        session.scalar(sa.select(AllocationRow.class_id).where(AllocationRow.provider_id == row.id).limit(1))
        is not None
    ):
        raise in_use
    for table in (InventoryRow, ProviderTraitRow, ProviderAggregateRow):
        session.execute(sa.delete(table).where(table.provider_id == row.id))
    try:
        # A root refers to itself, which MariaDB and PostgreSQL would take for a child.
        session.execute(sa.update(ProviderRow).where(ProviderRow.id == row.id).values(root_id=None))
        session.execute(sa.delete(ProviderRow).where(ProviderRow.id == row.id))
    except IntegrityError as exc:
        raise has_children from exc
    changes.note(session, [row.id], Kind.PROVIDER)


def lock(session: Session, uuid: str) -> Provider:
    """Return a provider whole, its row locked until the transaction ends; raises NotFound."""
    session.execute(sa.select(ProviderRow.id).where(ProviderRow.uuid == uuid).with_for_update())
    return get(session, uuid)


def touch(session: Session, uuid: str, expect_generation: int | None = None) -> int:
    """Raise a provider's generation and return its id; the row stays locked until the transaction ends.

    Raises: NotFound, or Conflict when the generation is not the expected one.
    """
    provider_id = _id(session, uuid)
    statement = sa.update(ProviderRow).where(ProviderRow.id == provider_id)
    if expect_generation is not None:
        statement = statement.where(ProviderRow.generation == expect_generation)
    result = session.execute(
        statement.values(generation=ProviderRow.generation + 1, updated_at=epoch_now()),
        execution_options={"synchronize_session": False},
    )
    if result.rowcount == 0:  # type: ignore[attr-defined]
        raise stale()
    return provider_id


def stale() -> errors.Conflict:
    """Return the error of a client that knows another generation of a provider than the one there is."""
    return errors.Conflict("resource provider generation conflict", code="placement.concurrent_update")


def set_inventories(
    session: Session, uuid: str, inventories: Mapping[str, Inventory], expect_generation: int | None, *, only: bool
) -> None:
    """Write inventories by class name; with ``only``, those not named are removed.

    Raises: NotFound, Invalid for an unknown class, Conflict for a stale generation or the removal of what is in use.
    """
    provider_id = touch(session, uuid, expect_generation)
    class_ids = names.ids(session, ResourceClassRow, inventories)
    unknown = sorted(set(inventories) - set(class_ids))
    if unknown:
        raise errors.Invalid(f"inventories: unknown resource class {unknown[0]} for resource provider {uuid}")
    there = set(session.scalars(sa.select(InventoryRow.class_id).where(InventoryRow.provider_id == provider_id)))
    if only:
        gone = there - set(class_ids.values())
        if gone:
            _remove_inventories(session, uuid, provider_id, gone)
    for name, class_id in sorted(class_ids.items(), key=lambda item: item[1]):
        values = _inventory_values(inventories[name])
        if class_id in there:
            session.execute(
                sa.update(InventoryRow)
                .where(InventoryRow.provider_id == provider_id, InventoryRow.class_id == class_id)
                .values(**values)
            )
        else:
            session.execute(
                sa.insert(InventoryRow).values(provider_id=provider_id, class_id=class_id, used=0, **values)
            )
    changes.note(session, [provider_id], Kind.PROVIDER)


def _inventory_values(inventory: Inventory) -> dict[str, object]:
    return {
        "total": inventory.total,
        "reserved": inventory.reserved,
        "min_unit": inventory.min_unit,
        "max_unit": inventory.max_unit,
        "step_size": inventory.step_size,
        "allocation_ratio": inventory.allocation_ratio,
        "updated_at": epoch_now(),
    }


def remove_inventory(session: Session, uuid: str, class_name: str) -> None:
    """Remove one inventory; raises NotFound, or Conflict while it is in use."""
    provider_id = touch(session, uuid)
    class_id = names.ids(session, ResourceClassRow, [class_name]).get(class_name)
    if class_id is None or not _remove_inventories(session, uuid, provider_id, {class_id}):
        raise errors.NotFound(f"No inventory of class {class_name} found for resource provider {uuid}")
    changes.note(session, [provider_id], Kind.PROVIDER)


def _remove_inventories(session: Session, uuid: str, provider_id: int, class_ids: set[int]) -> int:
    """Remove inventories that nothing uses and return how many there were; raises Conflict when one is in use."""
    those = (InventoryRow.provider_id == provider_id, InventoryRow.class_id.in_(sorted(class_ids)))
    removed = session.execute(sa.delete(InventoryRow).where(*those, InventoryRow.used == 0))
    used = session.scalars(
        sa.select(ResourceClassRow.name)
        .join(InventoryRow, InventoryRow.class_id == ResourceClassRow.id)
        .where(*those)
        .order_by(ResourceClassRow.name)
    ).all()
    if used:
        raise errors.Conflict(
            f"Inventory for '{', '.join(used)}' on resource provider '{uuid}' in use.", code="placement.inventory.inuse"
        )
    return int(removed.rowcount)  # type: ignore[attr-defined]


def set_traits(session: Session, uuid: str, traits: Iterable[str], expect_generation: int | None) -> None:
    """Write a provider's traits; what is so already leaves the generation alone.

    Raises: NotFound, Invalid for an unknown trait, Conflict for a stale generation.
    """
    wanted = set(traits)
    trait_ids = names.ids(session, TraitRow, wanted)
    provider = session.execute(
        sa.select(ProviderRow.id, ProviderRow.generation).where(ProviderRow.uuid == uuid).with_for_update()
    ).one_or_none()
    if provider is None:
        raise _not_found(uuid)
    if expect_generation not in (None, provider.generation):
        raise stale()
    unknown = sorted(wanted - set(trait_ids))
    if unknown:
        raise errors.Invalid(f"traits: no such trait {', '.join(unknown)}")
    of_provider = ProviderTraitRow.provider_id == provider.id
    there = set(session.scalars(sa.select(ProviderTraitRow.trait_id).where(of_provider)))
    asked = set(trait_ids.values())
    gone, fresh = sorted(there - asked), sorted(asked - there)
    if not gone and not fresh:
        return
    touch(session, uuid)
    if gone:
        session.execute(sa.delete(ProviderTraitRow).where(of_provider, ProviderTraitRow.trait_id.in_(gone)))
    if fresh:
        session.execute(
            sa.insert(ProviderTraitRow), [{"provider_id": provider.id, "trait_id": trait_id} for trait_id in fresh]
        )
    changes.note(session, [provider.id], Kind.PROVIDER)


def set_aggregates(session: Session, uuid: str, aggregates: Iterable[str], expect_generation: int | None) -> None:
    """Write which aggregates a provider is in; raises NotFound, Conflict for a stale generation."""
    asked = set(aggregates)
    provider_id = touch(session, uuid, expect_generation)
    there = set(
        session.scalars(
            sa.select(ProviderAggregateRow.aggregate_uuid).where(ProviderAggregateRow.provider_id == provider_id)
        )
    )
    gone, fresh = sorted(there - asked), sorted(asked - there)
    if gone:
        session.execute(
            sa.delete(ProviderAggregateRow).where(
                ProviderAggregateRow.provider_id == provider_id, ProviderAggregateRow.aggregate_uuid.in_(gone)
            )
        )
    if fresh:
        session.execute(
            sa.insert(ProviderAggregateRow),
            [{"provider_id": provider_id, "aggregate_uuid": aggregate} for aggregate in fresh],
        )
    changes.note(session, [provider_id], Kind.PROVIDER)
