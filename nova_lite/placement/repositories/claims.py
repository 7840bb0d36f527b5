"""Consumers and what they hold. Capacity is enforced here, by the database, in one statement per class."""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.placement import capacity
from nova_lite.placement.model import ANY_GENERATION, Claim, Holding
from nova_lite.placement.repositories import changes, names, providers
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.tables import AllocationRow, ConsumerRow, InventoryRow, ProviderRow, ResourceClassRow
from nova_lite.storage import epoch_now

#: (provider id, class id) → amount
Amounts = dict[tuple[int, int], int]


def replace(session: Session, claims: Sequence[Claim], *, raise_generations: bool = True) -> None:
    """Make every consumer of ``claims`` hold exactly what its claim says: all of them, or none.

    Rows are locked in one order (consumers, providers, inventories), so that two writers seldom meet head on.
    Raises: Conflict for a stale consumer generation or too little room, Invalid for an unknown provider or class.
    """
    ordered = sorted(claims, key=lambda claim: claim.consumer_uuid)
    consumers = _lock_consumers(session, ordered)
    wanted = _resolve(session, ordered)
    held = _held(session, [row.id for row in consumers.values()])
    before: Amounts = {}
    for amounts in held.values():
        _add(before, amounts)
    after: Amounts = {}
    for amounts in wanted.values():
        _add(after, amounts)
    provider_ids = sorted({provider_id for provider_id, _ in (*before, *after)})
    if provider_ids and raise_generations:
        _raise_generations(session, provider_ids)
    for key in sorted(set(before) | set(after)):
        pieces = [amounts[key] for amounts in wanted.values() if key in amounts]
        _move_used(session, key, after.get(key, 0) - before.get(key, 0), pieces)
    for claim in ordered:
        _write_holding(session, claim, consumers.get(claim.consumer_uuid), wanted[claim.consumer_uuid])
    changes.note(session, provider_ids, Kind.USAGE)


def _raise_generations(session: Session, provider_ids: Sequence[int]) -> None:
    """Raise the generations of providers, which locks them; raises Conflict when one has just been deleted."""
    result = session.execute(
        sa.update(ProviderRow).where(ProviderRow.id.in_(provider_ids)).values(generation=ProviderRow.generation + 1),
        execution_options={"synchronize_session": False},
    )
    if result.rowcount != len(provider_ids):  # type: ignore[attr-defined]
        raise errors.Conflict("A resource provider was deleted meanwhile.", code="placement.concurrent_update")


def _lock_consumers(session: Session, claims: Sequence[Claim]) -> dict[str, ConsumerRow]:
    """Return the consumers there are, locked; raises Conflict where a claim's generation is not theirs."""
    uuids = [claim.consumer_uuid for claim in claims]
    rows = session.scalars(
        sa.select(ConsumerRow).where(ConsumerRow.uuid.in_(uuids)).order_by(ConsumerRow.uuid).with_for_update()
    )
    consumers = {row.uuid: row for row in rows}
    for claim in claims:
        if claim.generation == ANY_GENERATION:
            continue
        row = consumers.get(claim.consumer_uuid)
        actual = None if row is None else row.generation
        if claim.generation != actual:
            raise errors.Conflict(
                f"consumer generation conflict - expected {_shown(actual)} but got {_shown(claim.generation)}",
                code="placement.concurrent_update",
            )
    return consumers


def _shown(generation: int | None) -> str:
    return "null" if generation is None else str(generation)


def _resolve(session: Session, claims: Sequence[Claim]) -> dict[str, Amounts]:
    """Return consumer UUID → what it asks for, by ids; raises Invalid for a provider or class there is not."""
    provider_uuids = {uuid for claim in claims for uuid in claim.allocations}
    class_names = {name for claim in claims for amounts in claim.allocations.values() for name in amounts}
    found = (
        session.execute(sa.select(ProviderRow.uuid, ProviderRow.id).where(ProviderRow.uuid.in_(sorted(provider_uuids))))
        if provider_uuids
        else ()
    )
    provider_ids: dict[str, int] = {row.uuid: row.id for row in found}
    missing = sorted(provider_uuids - set(provider_ids))
    if missing:
        raise errors.Invalid(f"allocations: resource provider {missing[0]} does not exist.")
    class_ids = names.ids(session, ResourceClassRow, class_names)
    unknown = sorted(class_names - set(class_ids))
    if unknown:
        raise errors.Invalid(f"allocations: no such resource class {unknown[0]}.")
    return {
        claim.consumer_uuid: {
            (provider_ids[uuid], class_ids[name]): amount
            for uuid, amounts in claim.allocations.items()
            for name, amount in amounts.items()
        }
        for claim in claims
    }


def _held(session: Session, consumer_ids: Sequence[int]) -> dict[int, Amounts]:
    held: dict[int, Amounts] = {}
    if consumer_ids:
        rows = session.execute(
            sa.select(
                AllocationRow.consumer_id, AllocationRow.provider_id, AllocationRow.class_id, AllocationRow.used
            ).where(AllocationRow.consumer_id.in_(consumer_ids))
        )
        for consumer_id, provider_id, class_id, used in rows:
            held.setdefault(consumer_id, {})[provider_id, class_id] = used
    return held


def _add(total: Amounts, amounts: Amounts) -> None:
    for key, amount in amounts.items():
        total[key] = total.get(key, 0) + amount


def _move_used(session: Session, key: tuple[int, int], delta: int, pieces: Sequence[int]) -> None:
    """Move one inventory's counter; raises Conflict without the room, or for ``pieces`` of a wrong size."""
    statement = sa.update(InventoryRow).where(InventoryRow.provider_id == key[0], InventoryRow.class_id == key[1])
    if delta > 0:
        room = (InventoryRow.total - InventoryRow.reserved) * InventoryRow.allocation_ratio - InventoryRow.used
        statement = statement.where(room >= delta)
    for piece in set(pieces):
        statement = statement.where(
            InventoryRow.min_unit <= piece,
            InventoryRow.max_unit >= piece,
            sa.literal(piece, sa.BigInteger) % InventoryRow.step_size == 0,
        )
    result = session.execute(
        statement.values(used=InventoryRow.used + delta), execution_options={"synchronize_session": False}
    )
    if result.rowcount == 0:  # type: ignore[attr-defined]
        raise errors.Conflict(f"Unable to allocate inventory: {_explain(session, key, delta, pieces)}")


def _explain(session: Session, key: tuple[int, int], delta: int, pieces: Sequence[int]) -> str:
    """Return why an inventory refused."""
    row = session.execute(
        sa.select(ProviderRow.uuid, ResourceClassRow.name, InventoryRow)
        .select_from(ProviderRow)
        .join(ResourceClassRow, ResourceClassRow.id == key[1])
        .outerjoin(
            InventoryRow,
            sa.and_(InventoryRow.provider_id == ProviderRow.id, InventoryRow.class_id == ResourceClassRow.id),
        )
        .where(ProviderRow.id == key[0])
    ).one_or_none()
    if row is None:
        return "the resource provider is gone"
    uuid, name = row[0], row[1]
    inventory: InventoryRow | None = row[2]
    if inventory is None:
        return f"resource provider '{uuid}' has no inventory for '{name}'"
    known = providers.inventory_from(inventory)
    reasons = (capacity.unit_refusal(known, piece) for piece in pieces)
    reason = next((reason for reason in reasons if reason), None)
    if reason is None:
        free = capacity.capacity(known) - known.used
        reason = f"the requested amount would exceed the capacity: {delta} asked, {free:g} free"
    return f"'{name}' on resource provider '{uuid}': {reason}"


def _write_holding(session: Session, claim: Claim, row: ConsumerRow | None, amounts: Amounts) -> None:
    """Write a consumer and its allocations; a consumer that holds nothing disappears."""
    if row is not None:
        session.execute(sa.delete(AllocationRow).where(AllocationRow.consumer_id == row.id))
    if not amounts:
        if row is not None:
            session.execute(sa.delete(ConsumerRow).where(ConsumerRow.id == row.id))
            session.expunge(row)
        return
    if row is None:
        consumer_id = _add_consumer(session, claim)
    else:
        consumer_id = row.id
        values: dict[str, object] = {
            "generation": ConsumerRow.generation + 1,
            "project_id": claim.project_id,
            "user_id": claim.user_id,
            "updated_at": epoch_now(),
        }
        if claim.type_told:
            values["consumer_type"] = claim.consumer_type
        session.execute(
            sa.update(ConsumerRow).where(ConsumerRow.id == consumer_id).values(**values),
            execution_options={"synchronize_session": False},
        )
    session.execute(
        sa.insert(AllocationRow).values(updated_at=epoch_now()),
        [
            {"consumer_id": consumer_id, "provider_id": provider_id, "class_id": class_id, "used": amount}
            for (provider_id, class_id), amount in sorted(amounts.items())
        ],
    )


def _add_consumer(session: Session, claim: Claim) -> int:
    try:
        result = session.execute(
            sa.insert(ConsumerRow).values(
                uuid=claim.consumer_uuid,
                generation=1,
                project_id=claim.project_id,
                user_id=claim.user_id,
                consumer_type=claim.consumer_type,
                updated_at=epoch_now(),
            )
        )
    except IntegrityError as exc:
        raise errors.Conflict(
            f"consumer generation conflict - {claim.consumer_uuid} was made at the same time",
            code="placement.concurrent_update",
        ) from exc
    return int(result.inserted_primary_key[0])  # type: ignore[attr-defined]


def remove(session: Session, consumer_uuid: str) -> None:
    """Take everything from a consumer; raises NotFound when it holds nothing."""
    row = session.scalar(sa.select(ConsumerRow.generation).where(ConsumerRow.uuid == consumer_uuid))
    if row is None:
        raise errors.NotFound(f"No allocations for consumer '{consumer_uuid}'")
    # Letting go can hurt nobody who knows the old generation: providers keep theirs, as clients expect.
    replace(session, [Claim(consumer_uuid, {}, "", "", ANY_GENERATION)], raise_generations=False)


def holding(session: Session, consumer_uuid: str) -> Holding | None:
    """Return what a consumer holds, or None when it holds nothing."""
    found = _holdings(session, ConsumerRow.uuid == consumer_uuid)
    return found[0] if found else None


def holders(session: Session, provider_id: int) -> list[Holding]:
    """Return who holds something of a provider, each with that part of what it holds."""
    return _holdings(session, AllocationRow.provider_id == provider_id)


def _holdings(session: Session, condition: sa.ColumnElement[bool]) -> list[Holding]:
    rows = session.execute(
        sa.select(
            ConsumerRow.uuid,
            ConsumerRow.generation,
            ConsumerRow.project_id,
            ConsumerRow.user_id,
            ConsumerRow.consumer_type,
            ProviderRow.uuid,
            ResourceClassRow.name,
            AllocationRow.used,
            AllocationRow.updated_at,
        )
        .select_from(AllocationRow)
        .join(ConsumerRow, ConsumerRow.id == AllocationRow.consumer_id)
        .join(ProviderRow, ProviderRow.id == AllocationRow.provider_id)
        .join(ResourceClassRow, ResourceClassRow.id == AllocationRow.class_id)
        .where(condition)
        .order_by(ConsumerRow.id, ProviderRow.id, ResourceClassRow.id)
    )
    owners: dict[str, tuple[int, str, str, str | None]] = {}
    amounts: dict[str, dict[str, dict[str, int]]] = {}
    changed: dict[str, float] = {}
    for uuid, generation, project_id, user_id, consumer_type, provider_uuid, name, used, updated_at in rows:
        owners[uuid] = (generation, project_id, user_id, consumer_type)
        amounts.setdefault(uuid, {}).setdefault(provider_uuid, {})[name] = used
        changed[uuid] = max(updated_at, changed.get(uuid, 0.0))
    return [Holding(uuid, *owner, amounts[uuid], changed[uuid]) for uuid, owner in owners.items()]


def usages(session: Session, project_id: str, user_id: str | None) -> Iterable[tuple[str | None, str, int, int]]:
    """Return (consumer type, class, amount, consumers of that type) held by a project, or by one user in it."""
    mine = [ConsumerRow.project_id == project_id]
    if user_id is not None:
        mine.append(ConsumerRow.user_id == user_id)
    counts: Mapping[str | None, int] = {
        row.consumer_type: row.consumers
        for row in session.execute(
            sa.select(ConsumerRow.consumer_type, sa.func.count().label("consumers"))
            .where(*mine)
            .group_by(ConsumerRow.consumer_type)
        )
    }
    rows = session.execute(
        sa.select(ConsumerRow.consumer_type, ResourceClassRow.name, sa.func.sum(AllocationRow.used))
        .select_from(AllocationRow)
        .join(ConsumerRow, ConsumerRow.id == AllocationRow.consumer_id)
        .join(ResourceClassRow, ResourceClassRow.id == AllocationRow.class_id)
        .where(*mine)
        .group_by(ConsumerRow.consumer_type, ResourceClassRow.name)
    )
    return [(consumer_type, name, int(used), counts[consumer_type]) for consumer_type, name, used in rows]
