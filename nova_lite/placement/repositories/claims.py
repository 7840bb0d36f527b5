"""Consumers and what they hold. Capacity is enforced here, by the database, in one statement for all that is claimed.

Rows are locked in one order: consumers by UUID, providers by id, inventories by provider and class. So writers seldom
meet head on, and those that do run again.
"""

import functools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.placement import capacity
from nova_lite.placement.model import ANY_GENERATION, Claim, Inventory
from nova_lite.placement.repositories import changes, names
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.repositories.loading import chunks
from nova_lite.placement.tables import ALLOCATIONS, CLASSES, CONSUMERS, INVENTORIES, PROVIDERS, ResourceClassRow
from nova_lite.storage import Handle, TryAgain, epoch_now

#: (provider id, class id)
Key = tuple[int, int]
#: Inventories moved by one statement.
_MOVES = 32
#: More than any amount.
_HUGE = 1 << 60

_C, _P, _I, _A = CONSUMERS.c, PROVIDERS.c, INVENTORIES.c, ALLOCATIONS.c
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_UUIDS: sa.BindParameter[Any] = sa.bindparam("uuids", expanding=True)

#: Provider ids and, through what they have, the ids of most classes: in one statement, with the database's time.
_RESOLVE = (
    sa.select(_P.uuid, _P.id, CLASSES.c.name, CLASSES.c.id, epoch_now())
    .select_from(PROVIDERS)
    .outerjoin(INVENTORIES, _I.provider_id == _P.id)
    .outerjoin(CLASSES, CLASSES.c.id == _I.class_id)
    .where(_P.uuid.in_(_UUIDS))
)
_LOCK_CONSUMERS = (
    sa.select(_C.id, _C.uuid, _C.generation, _C.project_id, _C.user_id, _C.consumer_type)
    .where(_C.uuid.in_(_UUIDS))
    .order_by(_C.uuid)
    .with_for_update()
)
_ADD_CONSUMERS = sa.insert(CONSUMERS)
_CONSUMER_IDS = sa.select(_C.uuid, _C.id).where(_C.uuid.in_(_UUIDS))
_GENERATIONS = sa.select(_C.uuid, _C.generation).where(_C.uuid.in_(_UUIDS))
_RAISE_CONSUMERS = (
    sa.update(CONSUMERS)
    .where(_C.id.in_(_IDS))
    .values(generation=_C.generation + 1, updated_at=sa.bindparam("now", type_=sa.Double))
)
_SET_OWNER = (
    sa.update(CONSUMERS)
    .where(_C.id.in_(_IDS))
    .values({name: sa.bindparam(f"new_{name}") for name in ("project_id", "user_id", "consumer_type")})
)
_REMOVE_CONSUMERS = sa.delete(CONSUMERS).where(_C.id.in_(_IDS))
_HELD = sa.select(_A.consumer_id, _A.provider_id, _A.class_id, _A.used).where(_A.consumer_id.in_(_IDS))
_ADD_ALLOCATIONS = sa.insert(ALLOCATIONS)
_REMOVE_ALLOCATIONS = sa.delete(ALLOCATIONS).where(_A.consumer_id.in_(_IDS))
_FIND_PROVIDERS = sa.select(_P.id).where(_P.uuid.in_(_UUIDS))
_LOCK_PROVIDERS = sa.select(_P.id).where(_P.id.in_(_IDS)).order_by(_P.id).with_for_update()
_UUIDS_OF = sa.select(_P.id, _P.uuid).where(_P.id.in_(_IDS))
_INVENTORIES = sa.select(
    *(_I.provider_id, _I.class_id, _I.total, _I.reserved, _I.min_unit, _I.max_unit, _I.step_size),
    *(_I.allocation_ratio, _I.used),
).where(_I.provider_id.in_(_IDS))
_RAISE_PROVIDERS = sa.update(PROVIDERS).where(_P.id.in_(_IDS)).values(generation=_P.generation + 1)


@dataclass(frozen=True, slots=True)
class _Consumer:
    """A consumer's row, locked."""

    id: int
    uuid: str
    generation: int
    project_id: str
    user_id: str
    consumer_type: str | None


@dataclass(slots=True)
class _Move:
    """What happens to one inventory: it gains ``delta``, and hands out pieces of these sizes."""

    delta: int = 0
    pieces: set[int] = field(default_factory=set)

    def add(self, piece: int) -> None:
        self.delta += piece
        self.pieces.add(piece)


@dataclass(frozen=True, slots=True)
class _Names:
    """UUIDs and names in claims → ids, and the database's time."""

    providers: Mapping[str, int]
    classes: Mapping[str, int]
    now: float

    def keyed(self, claim: Claim) -> dict[Key, int]:
        """Return what ``claim`` asks for, by ids."""
        return {
            (self.providers[uuid], self.classes[name]): amount
            for uuid, amounts in claim.allocations.items()
            for name, amount in amounts.items()
        }


def replace(handle: Handle, claims: Sequence[Claim]) -> None:
    """Make every consumer of ``claims`` hold exactly what its claim says: all of them, or none.

    Raises: Conflict for a stale consumer generation or too little room, Invalid for an unknown provider or class.
    """
    ordered = sorted(claims, key=lambda claim: claim.consumer_uuid)
    consumers = _checked_consumers(handle, ordered)
    known = _resolve(handle, ordered)
    added = _add_consumers(handle, [claim for claim in ordered if _is_new(claim, consumers)], known.now)
    emptied = {
        consumers[claim.consumer_uuid].id
        for claim in ordered
        if not claim.allocations and claim.consumer_uuid in consumers
    }
    moves: dict[Key, _Move] = {}
    #: A provider that is merely left keeps its generation, as clients expect.
    raised: set[int] = set()
    for consumer_id, key, amount in _held(handle, consumers.values()):
        moves.setdefault(key, _Move()).delta -= amount
        if consumer_id in emptied:
            raised.add(key[0])
    allocations: list[dict[str, Any]] = []
    for claim in ordered:
        row = consumers.get(claim.consumer_uuid)
        consumer_id = added.get(claim.consumer_uuid, 0) if row is None else row.id
        for key, amount in known.keyed(claim).items():
            moves.setdefault(key, _Move()).add(amount)
            raised.add(key[0])
            allocations.append(_allocation(consumer_id, key, amount, known.now))
    provider_ids = _lock_providers(handle, moves, raised)
    _move_used(handle, moves)
    _write_consumers(handle, ordered, consumers, known.now)
    for rows in chunks(allocations):
        handle.execute(_ADD_ALLOCATIONS, rows)
    changes.note(handle, provider_ids, Kind.USAGE)


def remove(handle: Handle, consumer_uuid: str) -> None:
    """Take everything from a consumer; raises NotFound when it holds nothing. No provider's generation rises."""
    consumers = _locked_consumers(handle, [consumer_uuid])
    if not consumers:
        raise errors.NotFound(f"No allocations for consumer '{consumer_uuid}'")
    moves: dict[Key, _Move] = {}
    for _, key, amount in _held(handle, consumers.values()):
        moves.setdefault(key, _Move()).delta -= amount
    provider_ids = _lock_providers(handle, moves)
    _move_used(handle, moves)
    _write_consumers(handle, [Claim(consumer_uuid, {}, "", "", ANY_GENERATION)], consumers, 0.0)
    changes.note(handle, provider_ids, Kind.USAGE)


def _resolve(handle: Handle, claims: Sequence[Claim]) -> _Names:
    """Return the ids of all that ``claims`` name; raises Invalid for a provider or class there is not."""
    wanted = {uuid for claim in claims for uuid in claim.allocations}
    classes = {name for claim in claims for amounts in claim.allocations.values() for name in amounts}
    provider_ids: dict[str, int] = {}
    class_ids: dict[str, int] = {}
    now = 0.0
    for chunk in chunks(sorted(wanted)):
        for uuid, provider_id, name, class_id, moment in handle.execute(_RESOLVE, {"uuids": chunk}):
            provider_ids[uuid] = provider_id
            class_ids[name] = class_id
            now = moment
    missing = sorted(wanted - set(provider_ids))
    if missing:
        raise errors.Invalid(f"allocations: resource provider {missing[0]} does not exist.")
    class_ids |= names.ids(handle, ResourceClassRow, classes - set(class_ids))
    unknown = sorted(classes - set(class_ids))
    if unknown:
        raise errors.Invalid(f"allocations: no such resource class {unknown[0]}.")
    return _Names(provider_ids, class_ids, now)


def lock(handle: Handle, claims: Collection[Claim], provider_uuids: Collection[str]) -> None:
    """Lock what ``claims`` touch, and further providers, in everybody's order: for who writes these providers first."""
    consumers = _locked_consumers(handle, [claim.consumer_uuid for claim in claims])
    provider_ids = {provider_id for _, (provider_id, _), _ in _held(handle, consumers.values())}
    uuids = {uuid for claim in claims for uuid in claim.allocations} | set(provider_uuids)
    for chunk in chunks(sorted(uuids)):
        provider_ids.update(handle.scalars(_FIND_PROVIDERS, {"uuids": chunk}))
    for ids in chunks(sorted(provider_ids)):
        handle.execute(_LOCK_PROVIDERS, {"ids": ids})


# -- consumers


def _locked_consumers(handle: Handle, uuids: Iterable[str]) -> dict[str, _Consumer]:
    """Return the consumers there are, by UUID, locked until the transaction ends."""
    found: dict[str, _Consumer] = {}
    for chunk in chunks(sorted(uuids)):
        for row in handle.execute(_LOCK_CONSUMERS, {"uuids": chunk}):
            found[row.uuid] = _Consumer(*row)
    return found


def _checked_consumers(handle: Handle, claims: Iterable[Claim]) -> dict[str, _Consumer]:
    """Return the consumers there are, locked; raises Conflict where a claim's generation is not theirs.

    Consumers that are to be new are left to their insertion, which finds out by itself whether they are.
    """
    asked = [claim for claim in claims if claim.generation is not None or not claim.allocations]
    consumers = _locked_consumers(handle, [claim.consumer_uuid for claim in asked])
    for claim in asked:
        row = consumers.get(claim.consumer_uuid)
        actual = None if row is None else row.generation
        if claim.generation not in (ANY_GENERATION, actual):
            raise _stale(actual, claim.generation)
    return consumers


def _stale(actual: int | None, told: int | None) -> errors.Conflict:
    shown = ["null" if generation is None else str(generation) for generation in (actual, told)]
    return errors.Conflict(
        f"consumer generation conflict - expected {shown[0]} but got {shown[1]}", code="placement.concurrent_update"
    )


def _is_new(claim: Claim, consumers: Mapping[str, _Consumer]) -> bool:
    return bool(claim.allocations) and claim.consumer_uuid not in consumers


def _add_consumers(handle: Handle, claims: Sequence[Claim], now: float) -> dict[str, int]:
    """Add the consumers of ``claims`` and return UUID → id; raises Conflict where one that must be new is not."""
    rows = [
        {
            "uuid": claim.consumer_uuid,
            "generation": 1,
            "project_id": claim.project_id,
            "user_id": claim.user_id,
            "consumer_type": claim.consumer_type,
            "updated_at": now,
        }
        for claim in claims
    ]
    try:
        if len(rows) == 1:
            result = handle.execute(_ADD_CONSUMERS, rows[0])
            return {claims[0].consumer_uuid: result.inserted_primary_key[0]}  # type: ignore[attr-defined]
        added: dict[str, int] = {}
        for chunk in chunks(rows):
            handle.execute(_ADD_CONSUMERS, chunk)
            uuids = {"uuids": [row["uuid"] for row in chunk]}
            added |= {row.uuid: row.id for row in handle.execute(_CONSUMER_IDS, uuids)}
        return added
    except IntegrityError as exc:
        handle.rollback()
        raise _collision(handle, claims) from exc


def _collision(handle: Handle, claims: Sequence[Claim]) -> errors.NovaLiteError:
    """Return what to tell of consumers that could not be added: somebody has, a moment ago or long since."""
    for chunk in chunks([claim.consumer_uuid for claim in claims if claim.generation is None]):
        for _, generation in handle.execute(_GENERATIONS, {"uuids": chunk}):
            return _stale(generation, None)
    return TryAgain("Another request made the same consumer.")


def _write_consumers(handle: Handle, claims: Iterable[Claim], consumers: Mapping[str, _Consumer], now: float) -> None:
    """Empty the hands of known consumers and count their change; one that is to hold nothing disappears."""
    gone: list[int] = []
    kept: list[int] = []
    owners: dict[tuple[str, str, str | None], list[int]] = {}
    for claim in claims:
        row = consumers.get(claim.consumer_uuid)
        if row is None:
            continue
        (kept if claim.allocations else gone).append(row.id)
        owner = (claim.project_id, claim.user_id, claim.consumer_type if claim.type_told else row.consumer_type)
        if claim.allocations and owner != (row.project_id, row.user_id, row.consumer_type):
            owners.setdefault(owner, []).append(row.id)
    for ids in chunks(gone + kept):
        handle.execute(_REMOVE_ALLOCATIONS, {"ids": ids})
    for ids in chunks(gone):
        handle.execute(_REMOVE_CONSUMERS, {"ids": ids})
    for ids in chunks(kept):
        handle.execute(_RAISE_CONSUMERS, {"ids": ids, "now": now})
    for (project_id, user_id, consumer_type), owned in owners.items():
        values = {"new_project_id": project_id, "new_user_id": user_id, "new_consumer_type": consumer_type}
        for ids in chunks(owned):
            handle.execute(_SET_OWNER, {"ids": ids, **values})


def _held(handle: Handle, consumers: Iterable[_Consumer]) -> Iterator[tuple[int, Key, int]]:
    """Yield (consumer id, inventory, amount) of all that consumers hold."""
    for ids in chunks([row.id for row in consumers]):
        for consumer_id, provider_id, class_id, used in handle.execute(_HELD, {"ids": ids}):
            yield consumer_id, (provider_id, class_id), used


def _allocation(consumer_id: int, key: Key, amount: int, now: float) -> dict[str, Any]:
    provider_id, class_id = key
    return {
        "consumer_id": consumer_id,
        "provider_id": provider_id,
        "class_id": class_id,
        "used": amount,
        "updated_at": now,
    }


# -- inventories


def _lock_providers(handle: Handle, keys: Iterable[Key], raised: Collection[int] = ()) -> list[int]:
    """Lock the providers of inventories, lowest id first, raise the generations of some, and return the ids of all.

    Raises TryAgain when one is gone.
    """
    provider_ids = sorted({provider_id for provider_id, _ in keys})
    found = 0
    # Raising the generation locks, too, but not always in order.
    if len(provider_ids) > len(raised) or len(raised) > 1:
        for ids in chunks(provider_ids):
            found += len(handle.execute(_LOCK_PROVIDERS, {"ids": ids}).all())
        for ids in chunks(sorted(raised)):
            handle.execute(_RAISE_PROVIDERS, {"ids": ids})
    elif provider_ids:
        found = handle.execute(_RAISE_PROVIDERS, {"ids": provider_ids}).rowcount  # type: ignore[attr-defined]
    if found != len(provider_ids):
        raise TryAgain("A resource provider was deleted meanwhile.")
    return provider_ids


def _move_used(handle: Handle, moves: Mapping[Key, _Move]) -> None:
    """Move the counters of inventories; raises Conflict without the room, or for pieces of a wrong size."""
    for keys in chunks(sorted(moves), _MOVES):
        values: dict[str, int] = {}
        for number, key in enumerate(keys):
            values |= _bound(number, key, moves[key])
        if handle.execute(_moving(len(keys)), values).rowcount != len(keys):  # type: ignore[attr-defined]
            # What others hold is seen when what this transaction did is undone.
            handle.rollback()
            raise _refusal(handle, {key: moves[key] for key in keys})


def _bound(number: int, key: Key, move: _Move) -> dict[str, int]:
    """Return the values of inventory ``number`` in a moving statement."""
    return {
        f"provider_{number}": key[0],
        f"class_{number}": key[1],
        f"delta_{number}": move.delta,
        # Who lets go, or keeps what is held, needs no room.
        f"needed_{number}": move.delta if move.delta > 0 else -_HUGE,
        f"smallest_{number}": min(move.pieces, default=_HUGE),
        f"largest_{number}": max(move.pieces, default=0),
        # Divisible by a step exactly when every piece is.
        f"divisor_{number}": math.gcd(*move.pieces),
    }


@functools.lru_cache(maxsize=_MOVES)
def _moving(count: int) -> sa.Update:
    """Return the statement that moves ``count`` inventories which have the room, and hand out such pieces."""

    def bound(name: str, number: int) -> sa.BindParameter[int]:
        return sa.bindparam(f"{name}_{number}", type_=sa.BigInteger)

    numbers = range(count)
    them = [
        sa.and_(_I.provider_id == bound("provider", number), _I.class_id == bound("class", number))
        for number in numbers
    ]
    willing = [
        sa.and_(
            them[number],
            (_I.total - _I.reserved) * _I.allocation_ratio - _I.used >= bound("needed", number),
            _I.min_unit <= bound("smallest", number),
            _I.max_unit >= bound("largest", number),
            bound("divisor", number) % _I.step_size == 0,
        )
        for number in numbers
    ]
    delta = (
        bound("delta", 0) if count == 1 else sa.case(*((them[number], bound("delta", number)) for number in numbers))
    )
    return sa.update(INVENTORIES).where(sa.or_(*willing)).values(used=_I.used + delta)


def _refusal(handle: Handle, moves: Mapping[Key, _Move]) -> errors.NovaLiteError:
    """Return what to tell of inventories of which one refused: why, or that it would not any more."""
    provider_ids = {"ids": sorted({provider_id for provider_id, _ in moves})}
    uuids = {row.id: row.uuid for row in handle.execute(_UUIDS_OF, provider_ids)}
    class_names = {row_id: name for name, (row_id, _) in names.load(handle, ResourceClassRow).items()}
    there = {
        (provider_id, class_id): Inventory(*columns)
        for provider_id, class_id, *columns in handle.execute(_INVENTORIES, provider_ids)
    }
    for key, move in moves.items():
        if key[0] not in uuids or key[1] not in class_names:
            continue
        name, uuid = class_names[key[1]], uuids[key[0]]
        inventory = there.get(key)
        reason = (
            f"resource provider '{uuid}' has no inventory for '{name}'"
            if inventory is None
            else _reason(inventory, move)
        )
        if reason is not None:
            if inventory is not None:
                reason = f"'{name}' on resource provider '{uuid}': {reason}"
            return errors.Conflict(f"Unable to allocate inventory: {reason}")
    return TryAgain("An inventory had no room, and has it again.")


def _reason(inventory: Inventory, move: _Move) -> str | None:
    """Return why an inventory refuses a move, or None when it does not."""
    for piece in sorted(move.pieces):
        reason = capacity.unit_refusal(inventory, piece)
        if reason is not None:
            return reason
    free = capacity.capacity(inventory) - inventory.used
    if move.delta <= 0 or move.delta <= free:
        return None
    return f"the requested amount would exceed the capacity: {move.delta} asked, {free:g} free"
