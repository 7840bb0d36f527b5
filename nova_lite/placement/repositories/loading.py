"""Reads providers out of the database, whole or only what changes most."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from nova_lite.placement.model import Inventory, Provider
from nova_lite.placement.tables import CLASSES, INVENTORIES, PROVIDER_AGGREGATES, PROVIDER_TRAITS, PROVIDERS, TRAITS
from nova_lite.storage import Handle

T = TypeVar("T")

#: Rows named in one statement.
CHUNK = 500

_P, _I, _T, _A = PROVIDERS.c, INVENTORIES.c, PROVIDER_TRAITS.c, PROVIDER_AGGREGATES.c
_FIELDS = tuple(
    _I[name]
    for name in ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio", "used", "updated_at")
)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)


def _joined(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """Return an expression for all values of ``column``, as one string: rows are dear to read, and words have no comma.

    Most providers are alike, and so are their strings, of which each is taken apart once.
    """
    return sa.func.aggregate_strings(column, ",")


_PROVIDERS = sa.select(_P.id, _P.uuid, _P.name, _P.generation, _P.parent_id, _P.root_id, _P.updated_at).order_by(_P.id)
# Of all providers without the names, for joins take the database longer than all else together.
_ALL_INVENTORIES = sa.select(_I.provider_id, _I.class_id, *_FIELDS).order_by(_I.provider_id, _I.class_id)
_ALL_TRAITS = sa.select(_T.provider_id, _joined(sa.cast(_T.trait_id, sa.String(20)))).group_by(_T.provider_id)
_ALL_AGGREGATES = sa.select(_A.provider_id, _joined(_A.aggregate_uuid)).group_by(_A.provider_id)
_NAMES = {table: sa.select(table.c.id, table.c.name) for table in (CLASSES, TRAITS)}

_SOME_PROVIDERS = _PROVIDERS.add_columns(
    sa.select(_joined(TRAITS.c.name))
    .join_from(PROVIDER_TRAITS, TRAITS)
    .where(_T.provider_id == _P.id)
    .scalar_subquery(),
    sa.select(_joined(_A.aggregate_uuid)).where(_A.provider_id == _P.id).scalar_subquery(),
).where(_P.id.in_(_IDS))
_SOME_INVENTORIES = (
    sa.select(_I.provider_id, CLASSES.c.name, *_FIELDS)
    .join_from(INVENTORIES, CLASSES)
    .where(_I.provider_id.in_(_IDS))
    .order_by(_I.provider_id, _I.class_id)
)
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

    Equal sets of traits or aggregates are one object, so that many alike providers take little memory. Several
    statements: read them at one moment (``Database.snapshot``) where they must fit together.
    """
    if provider_ids is None:
        return _load_all(handle)
    words = _Words()
    found: list[Provider] = []
    for chunk in chunks(sorted(provider_ids)):
        ids = {"ids": chunk}
        inventories = _by_provider(handle.execute(_SOME_INVENTORIES, ids))
        for row in handle.execute(_SOME_PROVIDERS, ids):
            found.append(_provider(row[:7], inventories, words.of(row[7]), words.of(row[8])))
    return found


def _load_all(handle: Handle) -> list[Provider]:
    classes, traits = ({row.id: sys.intern(row.name) for row in handle.execute(_NAMES[name])} for name in _NAMES)
    inventories = _by_provider(handle.execute(_ALL_INVENTORIES), classes)
    words, trait_words = _Words(), _Words({str(row_id): name for row_id, name in traits.items()})
    traits_of = {row[0]: trait_words.of(row[1]) for row in handle.execute(_ALL_TRAITS)}
    aggregates_of = {row[0]: words.of(row[1]) for row in handle.execute(_ALL_AGGREGATES)}
    nothing = frozenset[str]()
    return [
        _provider(row, inventories, traits_of.get(row[0], nothing), aggregates_of.get(row[0], nothing))
        for row in handle.execute(_PROVIDERS)
    ]


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


def _by_provider(
    rows: Iterable[Sequence[Any]], classes: Mapping[int, str] | None = None
) -> dict[int, dict[str, Inventory]]:
    """Return provider id → class name → inventory; ``classes`` are the names where rows have but the ids."""
    found: dict[int, dict[str, Inventory]] = {}
    for provider_id, of_class, *columns in rows:
        name = sys.intern(of_class) if classes is None else classes[of_class]
        found.setdefault(provider_id, {})[name] = Inventory(*columns)
    return found


def _provider(
    row: Sequence[Any],
    inventories: Mapping[int, Mapping[str, Inventory]],
    traits: frozenset[str],
    aggregates: frozenset[str],
) -> Provider:
    provider_id, uuid, name, generation, parent_id, root_id, updated_at = row
    root_id = provider_id if root_id is None else root_id
    mine = inventories.get(provider_id, {})
    return Provider(provider_id, uuid, name, generation, parent_id, root_id, updated_at, mine, traits, aggregates)


class _Words:
    """Turns joined strings into sets of words, or of what words stand for; equal ones are one object."""

    def __init__(self, meanings: Mapping[str, str] | None = None) -> None:
        self._meanings = meanings
        self._by_string: dict[str | None, frozenset[str]] = {None: frozenset()}
        self._sets: dict[frozenset[str], frozenset[str]] = {}

    def of(self, joined: str | None) -> frozenset[str]:
        found = self._by_string.get(joined)
        if found is None:
            words = (joined or "").split(",")
            meant = map(sys.intern, words) if self._meanings is None else map(self._meanings.__getitem__, words)
            fresh = frozenset(meant)
            found = self._by_string[joined] = self._sets.setdefault(fresh, fresh)
        return found
