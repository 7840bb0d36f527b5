"""What a provider has: inventories, traits and aggregates, written under its lock and its generation.

Each function that changes one provider returns it as it is then, with that part of what it has; the rest is left out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.placement.model import Inventory, Provider
from nova_lite.placement.repositories import changes, names, providers
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.repositories.loading import chunks
from nova_lite.placement.tables import (
    CLASSES,
    INVENTORIES,
    PROVIDER_AGGREGATES,
    PROVIDER_TRAITS,
    TRAITS,
    ResourceClassRow,
    TraitRow,
)
from nova_lite.storage import Handle, TryAgain

#: (provider id, class id)
Key = tuple[int, int]

_I, _T, _A = INVENTORIES.c, PROVIDER_TRAITS.c, PROVIDER_AGGREGATES.c
_FIELDS = ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")
_ID = sa.bindparam("for_id", type_=sa.BigInteger)

_INVENTORIES = (
    sa.select(_I.provider_id, CLASSES.c.name, _I.class_id, *(_I[name] for name in _FIELDS), _I.used, _I.updated_at)
    .join_from(INVENTORIES, CLASSES)
    .where(_I.provider_id.in_(sa.bindparam("ids", expanding=True)))
)
_ADD_INVENTORIES = sa.insert(INVENTORIES)
#: By the pairs alone MariaDB would read, and lock, every row when there is but one pair.
_NAMED = sa.and_(
    _I.provider_id.in_(sa.bindparam("ids", expanding=True)),
    sa.tuple_(_I.provider_id, _I.class_id).in_(sa.bindparam("keys", expanding=True)),
)
_STAMP_INVENTORIES = sa.update(INVENTORIES).where(_NAMED).values(updated_at=sa.bindparam("now", type_=sa.Double))
_CLEAR_INVENTORIES = sa.delete(INVENTORIES).where(_NAMED)
_REMOVE_INVENTORIES = _CLEAR_INVENTORIES.where(_I.used == 0)
_TRAITS = sa.select(TRAITS.c.name, TRAITS.c.id).join_from(PROVIDER_TRAITS, TRAITS).where(_T.provider_id == _ID)
_ADD_TRAITS = sa.insert(PROVIDER_TRAITS)
_REMOVE_TRAITS = sa.delete(PROVIDER_TRAITS).where(
    _T.provider_id == _ID, _T.trait_id.in_(sa.bindparam("gone", expanding=True))
)
_AGGREGATES = sa.select(_A.aggregate_uuid).where(_A.provider_id == _ID)
_ADD_AGGREGATES = sa.insert(PROVIDER_AGGREGATES)
_REMOVE_AGGREGATES = sa.delete(PROVIDER_AGGREGATES).where(
    _A.provider_id == _ID, _A.aggregate_uuid.in_(sa.bindparam("gone", expanding=True))
)


@dataclass(frozen=True, slots=True)
class _Books:
    """Locked providers by UUID, and their inventories: provider id → class name → (class id, inventory)."""

    providers: Mapping[str, Provider]
    inventories: Mapping[int, Mapping[str, tuple[int, Inventory]]]
    now: float


def _open(handle: Handle, expected: Mapping[str, int | None]) -> _Books:
    """Return the books of providers, given as UUID → expected generation or None; raises NotFound or Conflict."""
    locked, now = providers.lock(handle, expected)
    found: dict[int, dict[str, tuple[int, Inventory]]] = {provider.id: {} for provider in locked.values()}
    for chunk in chunks(sorted(found)):
        for provider_id, name, class_id, *columns in handle.execute(_INVENTORIES, {"ids": chunk}):
            found[provider_id][name] = (class_id, Inventory(*columns))
    return _Books(locked, found, now)


def set_inventories(
    handle: Handle, uuid: str, inventories: Mapping[str, Inventory], expect_generation: int | None, *, only: bool
) -> Provider:
    """Write inventories by class name; with ``only``, those not named are removed.

    Raises: NotFound, Invalid for an unknown class, Conflict for a stale generation or the removal of what is in use.
    """
    books = _open(handle, {uuid: expect_generation})
    return _write(handle, books, {uuid: inventories}, only)[uuid]


def set_many_inventories(
    handle: Handle, wanted: Mapping[str, tuple[int | None, Mapping[str, Inventory]]], *, only: bool
) -> None:
    """Do as ``set_inventories`` with many providers at once: UUID → (expected generation, inventories)."""
    books = _open(handle, {uuid: generation for uuid, (generation, _) in wanted.items()})
    _write(handle, books, {uuid: inventories for uuid, (_, inventories) in wanted.items()}, only)


def set_inventory(
    handle: Handle, uuid: str, class_name: str, inventory: Inventory, expect_generation: int | None, *, new: bool
) -> Provider:
    """Write one inventory, which must not (else: must) be there when it is ``new``; raises as ``set_inventories``."""
    books = _open(handle, {uuid: expect_generation})
    is_there = class_name in books.inventories[books.providers[uuid].id]
    if new and is_there:
        raise errors.Conflict(
            f"Update conflict: inventory of {class_name} exists already", code="placement.concurrent_update"
        )
    if not new and not is_there:
        if not names.exists(handle, ResourceClassRow, class_name):
            raise errors.NotFound(f"No such resource class {class_name}.")
        raise errors.Invalid(f"No inventory record for {class_name} on resource provider {uuid}")
    return _write(handle, books, {uuid: {class_name: inventory}}, only=False)[uuid]


def remove_inventory(handle: Handle, uuid: str, class_name: str) -> None:
    """Remove one inventory; raises NotFound, or Conflict while it is in use."""
    books = _open(handle, {uuid: None})
    provider = books.providers[uuid]
    known = books.inventories[provider.id]
    if class_name not in known:
        raise errors.NotFound(f"No inventory of class {class_name} found for resource provider {uuid}")
    class_id, _ = known[class_name]
    _refuse_if_used(uuid, {class_name: known[class_name]}, "placement.concurrent_update")
    _remove(handle, [(provider.id, class_id)])
    _close(handle, [replace(provider, updated_at=books.now)])


def _write(
    handle: Handle, books: _Books, wanted: Mapping[str, Mapping[str, Inventory]], only: bool
) -> dict[str, Provider]:
    """Write the inventories of locked providers, and return these as they are then."""
    class_ids = _class_ids(handle, books, wanted)
    gone: list[Key] = []
    same: list[Key] = []
    changed: list[Key] = []
    rows: list[dict[str, Any]] = []
    after: dict[str, Provider] = {}
    for uuid, inventories in wanted.items():
        if not inventories and not only:
            continue
        provider = books.providers[uuid]
        known = books.inventories[provider.id]
        unwanted = {name: entry for name, entry in known.items() if only and name not in inventories}
        _refuse_if_used(uuid, unwanted, "placement.inventory.inuse")
        gone += [(provider.id, class_id) for class_id, _ in unwanted.values()]
        left = {name: inventory for name, (_, inventory) in known.items() if name not in unwanted}
        for name, inventory in inventories.items():
            before, key = known[name][1] if name in known else None, (provider.id, class_ids[name])
            left[name] = replace(inventory, used=before.used if before else 0, updated_at=books.now)
            if before == left[name]:
                same.append(key)
                continue
            if before:
                changed.append(key)
            rows.append(_row(key, left[name]))
        ordered = {name: left[name] for name in sorted(left, key=lambda name: class_ids[name])}
        after[uuid] = replace(provider, generation=provider.generation + 1, updated_at=books.now, inventories=ordered)
    _remove(handle, gone)
    for keys in chunks(sorted(same)):
        handle.execute(_STAMP_INVENTORIES, _named(keys) | {"now": books.now})
    # Written anew rather than updated: that is one statement for all. Who moves what is used waits for our lock.
    for keys in chunks(sorted(changed)):
        handle.execute(_CLEAR_INVENTORIES, _named(keys))
    for piece in chunks(rows):
        _insert(handle, _ADD_INVENTORIES, piece)
    _close(handle, after.values())
    return after


def _class_ids(handle: Handle, books: _Books, wanted: Mapping[str, Mapping[str, Inventory]]) -> dict[str, int]:
    """Return class name → id of all classes in ``wanted`` and in the books; raises Invalid for an unknown one."""
    class_ids = {name: class_id for known in books.inventories.values() for name, (class_id, _) in known.items()}
    new_names = {name for inventories in wanted.values() for name in inventories} - set(class_ids)
    class_ids |= names.ids(handle, ResourceClassRow, new_names)
    unknown = sorted(new_names - set(class_ids))
    if unknown:
        uuid = next(uuid for uuid, inventories in wanted.items() if unknown[0] in inventories)
        raise errors.Invalid(f"inventories: unknown resource class {unknown[0]} for resource provider {uuid}")
    return class_ids


def _refuse_if_used(uuid: str, unwanted: Mapping[str, tuple[int, Inventory]], code: str) -> None:
    used = sorted(name for name, (_, inventory) in unwanted.items() if inventory.used)
    if used:
        raise errors.Conflict(f"Inventory for '{', '.join(used)}' on resource provider '{uuid}' in use.", code=code)


def _remove(handle: Handle, gone: Sequence[Key]) -> None:
    for keys in chunks(sorted(gone)):
        if handle.execute(_REMOVE_INVENTORIES, _named(keys)).rowcount != len(keys):  # type: ignore[attr-defined]
            raise TryAgain("An inventory is in use all of a sudden.")


def _named(keys: Sequence[Key]) -> dict[str, Any]:
    return {"keys": keys, "ids": sorted({provider_id for provider_id, _ in keys})}


def _row(key: Key, inventory: Inventory) -> dict[str, Any]:
    fields = {name: getattr(inventory, name) for name in (*_FIELDS, "used", "updated_at")}
    return {"provider_id": key[0], "class_id": key[1], **fields}


def _insert(handle: Handle, statement: sa.Insert, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that refer to names; raises TryAgain when such a name was removed a moment ago."""
    try:
        handle.execute(statement, rows)
    except IntegrityError as exc:
        raise TryAgain("A resource class or trait was removed meanwhile.") from exc


def _close(handle: Handle, changed: Collection[Provider]) -> None:
    """Write down that providers changed; they say when."""
    ids = [provider.id for provider in changed]
    providers.raise_generations(handle, ids, max((provider.updated_at for provider in changed), default=0.0))
    changes.note(handle, ids, Kind.PROVIDER)


def set_traits(handle: Handle, uuid: str, traits: Iterable[str], expect_generation: int | None) -> Provider:
    """Write a provider's traits; what is so already leaves the generation alone.

    Raises: NotFound, Invalid for an unknown trait, Conflict for a stale generation.
    """
    locked, now = providers.lock(handle, {uuid: expect_generation})
    provider, wanted = locked[uuid], frozenset(traits)
    there = {row.name: row.id for row in handle.execute(_TRAITS, {"for_id": provider.id})}
    new_names = wanted - set(there)
    fresh = names.ids(handle, TraitRow, new_names)
    unknown = sorted(new_names - set(fresh))
    if unknown:
        raise errors.Invalid(f"traits: no such trait {', '.join(unknown)}")
    gone = sorted(trait_id for name, trait_id in there.items() if name not in wanted)
    if not gone and not fresh:
        return replace(provider, traits=wanted)
    if gone:
        handle.execute(_REMOVE_TRAITS, {"for_id": provider.id, "gone": gone})
    if fresh:
        rows = [{"provider_id": provider.id, "trait_id": trait_id} for trait_id in sorted(fresh.values())]
        _insert(handle, _ADD_TRAITS, rows)
    after = replace(provider, generation=provider.generation + 1, updated_at=now, traits=wanted)
    _close(handle, [after])
    return after


def set_aggregates(handle: Handle, uuid: str, aggregates: Iterable[str], expect_generation: int | None) -> Provider:
    """Write which aggregates a provider is in; raises NotFound, Conflict for a stale generation.

    A client too old to expect a generation does not raise it either.
    """
    locked, now = providers.lock(handle, {uuid: expect_generation})
    provider, wanted = locked[uuid], frozenset(aggregates)
    there = set(handle.scalars(_AGGREGATES, {"for_id": provider.id}))
    gone, fresh = sorted(there - wanted), sorted(wanted - there)
    if gone:
        handle.execute(_REMOVE_AGGREGATES, {"for_id": provider.id, "gone": gone})
    if fresh:
        rows = [{"provider_id": provider.id, "aggregate_uuid": aggregate} for aggregate in fresh]
        handle.execute(_ADD_AGGREGATES, rows)
    if expect_generation is None:
        changes.note(handle, [provider.id], Kind.PROVIDER)
        return replace(provider, aggregates=wanted)
    after = replace(provider, generation=provider.generation + 1, updated_at=now, aggregates=wanted)
    _close(handle, [after])
    return after
