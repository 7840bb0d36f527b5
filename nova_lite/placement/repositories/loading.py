"""Reads providers out of the database, whole or only what changes most."""

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from nova_lite.placement.model import Inventory, Provider
from nova_lite.placement.tables import CLASSES, INVENTORIES, PROVIDER_AGGREGATES, PROVIDER_TRAITS, PROVIDERS, TRAITS
from nova_lite.storage import Handle

T = TypeVar("T")

#: Rows named in one statement.
CHUNK = 500

_P = PROVIDERS.c
_INVENTORY = tuple(
    INVENTORIES.c[name]
    for name in ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio", "used", "updated_at")
)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)

_LOAD = sa.select(
    *(_P.id, _P.uuid, _P.name, _P.generation, _P.parent_id, _P.root_id, _P.updated_at),
    # Collected by the database: rows are dear to read. Neither names nor UUIDs have commas.
    sa.select(sa.func.aggregate_strings(TRAITS.c.name, ","))
    .join_from(PROVIDER_TRAITS, TRAITS)
    .where(PROVIDER_TRAITS.c.provider_id == _P.id)
    .scalar_subquery(),
    sa.select(sa.func.aggregate_strings(PROVIDER_AGGREGATES.c.aggregate_uuid, ","))
    .where(PROVIDER_AGGREGATES.c.provider_id == _P.id)
    .scalar_subquery(),
).order_by(_P.id)
_LOAD_INVENTORIES = (
    sa.select(INVENTORIES.c.provider_id, CLASSES.c.name, *_INVENTORY)
    .join_from(INVENTORIES, CLASSES)
    .order_by(INVENTORIES.c.provider_id, INVENTORIES.c.class_id)
)
_LOAD_SOME = _LOAD.where(_P.id.in_(_IDS))
_LOAD_SOME_INVENTORIES = _LOAD_INVENTORIES.where(INVENTORIES.c.provider_id.in_(_IDS))
_LOAD_USE = (
    sa.select(_P.id, _P.generation, CLASSES.c.name, INVENTORIES.c.used)
    .select_from(PROVIDERS)
    .outerjoin(INVENTORIES, INVENTORIES.c.provider_id == _P.id)
    .outerjoin(CLASSES, CLASSES.c.id == INVENTORIES.c.class_id)
    .where(_P.id.in_(_IDS))
    .order_by(_P.id, INVENTORIES.c.class_id)
)


def load(handle: Handle, provider_ids: Collection[int] | None = None) -> list[Provider]:
    """Return providers whole, by id: those of ``provider_ids`` that exist, or all of them.

    Equal sets of traits or aggregates are one object, so that many alike providers take little memory. Two statements:
    read them at one moment (``Database.snapshot``) where they must fit together.
    """
    shared: dict[str | None, frozenset[str]] = {None: frozenset()}
    if provider_ids is None:
        return _built(handle.execute(_LOAD), handle.execute(_LOAD_INVENTORIES), shared)
    found: list[Provider] = []
    for chunk in chunks(sorted(provider_ids)):
        ids = {"ids": chunk}
        found += _built(handle.execute(_LOAD_SOME, ids), handle.execute(_LOAD_SOME_INVENTORIES, ids), shared)
    return found


def load_use(handle: Handle, provider_ids: Collection[int]) -> dict[int, tuple[int, dict[str, int]]]:
    """Return provider id → (generation, class name → used) of those of ``provider_ids`` that exist."""
    found: dict[int, tuple[int, dict[str, int]]] = {}
    for chunk in chunks(sorted(provider_ids)):
        for provider_id, generation, name, used in handle.execute(_LOAD_USE, {"ids": chunk}):
            by_class = found.setdefault(provider_id, (generation, {}))[1]
            if name is not None:
                by_class[name] = used
    return found


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Yield ``values`` in pieces that one statement can name."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _built(
    rows: Iterable[Sequence[Any]], inventory_rows: Iterable[Sequence[Any]], shared: dict[str | None, frozenset[str]]
) -> list[Provider]:
    """Return providers from their rows; equal sets of names are one object, for there are many providers."""
    inventories: dict[int, dict[str, Inventory]] = {}
    for provider_id, class_name, *columns in inventory_rows:
        inventories.setdefault(provider_id, {})[sys.intern(class_name)] = Inventory(*columns)
    return [
        Provider(
            id=provider_id,
            uuid=uuid,
            name=name,
            generation=generation,
            parent_id=parent_id,
            root_id=provider_id if root_id is None else root_id,
            updated_at=updated_at,
            inventories=inventories.get(provider_id, {}),
            traits=_shared(shared, traits),
            aggregates=_shared(shared, aggregates),
        )
        for provider_id, uuid, name, generation, parent_id, root_id, updated_at, traits, aggregates in rows
    ]


def _shared(shared: dict[str | None, frozenset[str]], joined: str | None) -> frozenset[str]:
    found = shared.get(joined)
    if found is None:
        names = sorted(map(sys.intern, joined.split(","))) if joined else []
        found = shared.setdefault("\n".join(names), frozenset(names))
        shared[joined] = found
    return found
