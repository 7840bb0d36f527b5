"""Resource providers and their trees: the rows. What a provider has is written in ``belongings.py``.

Whoever changes what a provider has, or how much of it is used, locks its row first; several in the order of their ids.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.placement.model import Provider
from nova_lite.placement.repositories import changes
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.repositories.loading import chunks, load
from nova_lite.placement.tables import ALLOCATIONS, INVENTORIES, PROVIDER_AGGREGATES, PROVIDER_TRAITS, PROVIDERS
from nova_lite.storage import Handle, TryAgain, epoch_now

_P = PROVIDERS.c
_UUID = sa.bindparam("for_uuid", type_=sa.String)
_UUIDS: sa.BindParameter[Any] = sa.bindparam("uuids", expanding=True)
_ID = sa.bindparam("for_id", type_=sa.BigInteger)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_ROOTS: sa.BindParameter[Any] = sa.bindparam("roots", expanding=True)

_LOCK = (
    sa.select(_P.id, _P.uuid, _P.name, _P.generation, _P.parent_id, _P.root_id, _P.updated_at, epoch_now())
    .where(_P.uuid.in_(_UUIDS))
    .order_by(_P.id)
    .with_for_update()
)
_RAISE = (
    sa.update(PROVIDERS)
    .where(_P.id.in_(_IDS))
    .values(generation=_P.generation + 1, updated_at=sa.bindparam("now", type_=sa.Double))
)
_FIND = sa.select(_P.id).where(_P.uuid == _UUID)
_NOW = sa.select(epoch_now())
_ADD = sa.insert(PROVIDERS)
_MAKE_ROOT = sa.update(PROVIDERS).where(_P.id == _ID).values(root_id=_P.id)
_RENAME = sa.update(PROVIDERS).where(_P.id == _ID).values(name=sa.bindparam("new_name"), updated_at=epoch_now())
_LINKS = sa.select(_P.id, _P.uuid, _P.parent_id, _P.root_id)
_LINKS_OF = _LINKS.where(_P.uuid.in_(_UUIDS))
_LINKS_IN_TREES = _LINKS.where(_P.root_id.in_(_ROOTS))
_LOCK_ROWS = sa.select(_P.id, _P.uuid).where(_P.id.in_(_IDS)).order_by(_P.id).with_for_update()
_SET_PARENT = sa.update(PROVIDERS).where(_P.id == _ID).values(parent_id=sa.bindparam("new_parent"))
_SET_ROOT = sa.update(PROVIDERS).where(_P.id.in_(_IDS)).values(root_id=sa.bindparam("new_root"))
_CHILD = sa.select(_P.id).where(_P.parent_id == _ID).limit(1)
_ALLOCATION = sa.select(ALLOCATIONS.c.class_id).where(ALLOCATIONS.c.provider_id == _ID).limit(1)
_REMOVE = (
    *(
        sa.delete(table).where(table.c.provider_id == _ID)
        for table in (INVENTORIES, PROVIDER_TRAITS, PROVIDER_AGGREGATES)
    ),
    # A root refers to itself, which MariaDB and PostgreSQL would take for a child.
    sa.update(PROVIDERS).where(_P.id == _ID).values(root_id=None),
    sa.delete(PROVIDERS).where(_P.id == _ID),
)


@dataclass(frozen=True, slots=True)
class _Link:
    """Where a provider stands in its tree."""

    id: int
    uuid: str
    parent_id: int | None
    root_id: int


def get(handle: Handle, uuid: str) -> Provider:
    """Return the provider of that UUID whole; raises NotFound."""
    found = handle.scalar(_FIND, {"for_uuid": uuid})
    loaded = [] if found is None else load(handle, [found])
    if not loaded:
        raise _not_found(uuid)
    return loaded[0]


def _not_found(uuid: str) -> errors.NotFound:
    return errors.NotFound(f"No resource provider with uuid {uuid} found.")


def lock(handle: Handle, expected: Mapping[str, int | None]) -> tuple[dict[str, Provider], float]:
    """Lock providers, given as UUID → expected generation or None, and return them with the database's time.

    They are returned by UUID and bare: without inventories, traits and aggregates. Raises NotFound, or Conflict for a
    stale generation, whichever comes first.
    """
    found: dict[str, Provider] = {}
    now = 0.0
    for chunk in chunks(sorted(expected)):
        for *columns, moment in handle.execute(_LOCK, {"uuids": chunk}):
            provider = Provider(*columns)
            found[provider.uuid] = provider
            now = moment
    for uuid, generation in expected.items():
        if uuid not in found:
            raise _not_found(uuid)
        if generation not in (None, found[uuid].generation):
            raise errors.Conflict("resource provider generation conflict", code="placement.concurrent_update")
    return found, now


def _lock_one(handle: Handle, uuid: str) -> Provider:
    return lock(handle, {uuid: None})[0][uuid]


def raise_generations(handle: Handle, provider_ids: Collection[int], now: float) -> None:
    """Count one change of each provider."""
    for chunk in chunks(sorted(provider_ids)):
        handle.execute(_RAISE, {"ids": chunk, "now": now})


def create(handle: Handle, uuid: str, name: str, parent_uuid: str | None) -> tuple[Provider, str]:
    """Add a provider and return it, with its root's UUID.

    Raises: Conflict for a taken name or UUID, Invalid for a parent that does not exist.
    """
    parent_id = root_id = None
    root_uuid = uuid
    if parent_uuid is not None:
        parent, root_uuid = _locked_parent(handle, parent_uuid)
        parent_id, root_id = parent.id, parent.root_id
    now = handle.execute(_NOW).scalar_one()
    values = {"uuid": uuid, "name": name, "generation": 0, "parent_id": parent_id, "root_id": root_id}
    with _unique(uuid, name):
        added = handle.execute(_ADD, values | {"updated_at": now})
    row_id = added.inserted_primary_key[0]  # type: ignore[attr-defined]
    if root_id is None:
        handle.execute(_MAKE_ROOT, {"for_id": row_id})
    changes.note(handle, [row_id], Kind.PROVIDER)
    return Provider(row_id, uuid, name, 0, parent_id, row_id if root_id is None else root_id, now), root_uuid


def _locked_parent(handle: Handle, uuid: str) -> tuple[Provider, str]:
    """Return a provider that is to get a child, its tree locked against moves, and its root's UUID."""
    row = handle.execute(_LINKS_OF, {"uuids": [uuid]}).one_or_none()
    if row is None:
        raise _no_parent(uuid)
    locked = {known.id: known.uuid for known in handle.execute(_LOCK_ROWS, {"ids": sorted({row.root_id, row.id})})}
    try:
        parent = _lock_one(handle, uuid)
    except errors.NotFound as exc:
        raise _no_parent(uuid) from exc
    if parent.root_id != row.root_id:
        raise TryAgain("The parent is being moved.")
    return parent, locked[parent.root_id]


def _no_parent(uuid: str) -> errors.Invalid:
    return errors.Invalid(f"parent_provider_uuid: no resource provider with uuid {uuid} found.")


@contextlib.contextmanager
def _unique(uuid: str, name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as exc:
        raise errors.Conflict(
            f"Conflicting resource provider: name {name} or uuid {uuid} is taken.", code="placement.duplicate_name"
        ) from exc


def update(handle: Handle, uuid: str, name: str, parent_uuid: str | None, *, parent_told: bool, may_move: bool) -> None:
    """Rename a provider and, when ``parent_told``, put it below ``parent_uuid`` (None: make it a root).

    Without ``may_move`` only a provider without parent can get one. Raises: NotFound, Conflict, Invalid.
    """
    moved = _move(handle, uuid, parent_uuid, may_move) if parent_told else []
    row_id = _lock_one(handle, uuid).id
    with _unique(uuid, name):
        handle.execute(_RENAME, {"for_id": row_id, "new_name": name})
    changes.note(handle, [row_id, *moved], Kind.PROVIDER)


def _move(handle: Handle, uuid: str, parent_uuid: str | None, may_move: bool) -> list[int]:
    """Put a provider and all below it under another parent and return the ids of the providers that moved."""
    wanted = [uuid] if parent_uuid is None else [uuid, parent_uuid]
    links = {row.uuid: _Link(*row) for row in handle.execute(_LINKS_OF, {"uuids": wanted})}
    if uuid not in links:
        raise _not_found(uuid)
    if parent_uuid is not None and parent_uuid not in links:
        raise _no_parent(parent_uuid)
    tree = _locked_trees(handle, links.values())
    link, parent = tree[links[uuid].id], None if parent_uuid is None else tree[links[parent_uuid].id]
    new_parent_id = None if parent is None else parent.id
    if link.parent_id == new_parent_id:
        return []
    if link.parent_id is not None and not may_move:
        what = "un-parenting" if parent is None else "re-parenting"
        raise errors.Invalid(f"parent_provider_uuid: {what} a provider is not currently allowed.")
    below = _below(link.id, tree.values())
    if new_parent_id in below:
        raise errors.Invalid(f"parent_provider_uuid: {parent_uuid} is in the subtree of {uuid}: that would be a loop.")
    try:
        handle.execute(_SET_PARENT, {"for_id": link.id, "new_parent": new_parent_id})
    except IntegrityError as exc:
        raise TryAgain("The new parent was deleted meanwhile.") from exc
    for ids in chunks(below):
        handle.execute(_SET_ROOT, {"ids": ids, "new_root": link.id if parent is None else parent.root_id})
    return below


def _locked_trees(handle: Handle, members: Collection[_Link]) -> dict[int, _Link]:
    """Return the links of the trees of ``members`` by id, all locked: nobody joins or leaves them any more.

    Raises TryAgain when somebody did before they were.
    """
    roots = {"roots": sorted({member.root_id for member in members})}
    locked = sorted(row.id for row in handle.execute(_LINKS_IN_TREES, roots))
    for ids in chunks(locked):
        handle.execute(_LOCK_ROWS, {"ids": ids})
    # Asked anew: what was waited for may have brought providers here, or taken them away.
    links = {row.id: _Link(*row) for row in handle.execute(_LINKS_IN_TREES, roots)}
    if not set(links) <= set(locked) or any(member.id not in links for member in members):
        raise TryAgain("Another request moves providers of the same tree.")
    return links


def _below(top: int, links: Iterable[_Link]) -> list[int]:
    """Return the ids of a provider and of all below it."""
    children: dict[int | None, list[int]] = {}
    for link in links:
        children.setdefault(link.parent_id, []).append(link.id)
    below, waiting = set[int](), [top]
    while waiting:
        current = waiting.pop()
        if current not in below:
            below.add(current)
            waiting += children.get(current, [])
    return sorted(below)


def delete(handle: Handle, uuid: str) -> None:
    """Remove a provider with its inventories; raises NotFound, or Conflict for children or allocations."""
    row = {"for_id": _lock_one(handle, uuid).id}
    has_children = errors.Conflict(
        f"Unable to delete parent resource provider {uuid}: it has child resource providers.",
        code="placement.resource_provider.cannot_delete_parent",
    )
    if handle.scalar(_CHILD, row) is not None:
        raise has_children
    if handle.scalar(_ALLOCATION, row) is not None:
        raise errors.Conflict(
            f"Unable to delete resource provider {uuid}: it has allocations.", code="placement.resource_provider.inuse"
        )
    try:
        for statement in _REMOVE:
            handle.execute(statement, row)
    except IntegrityError as exc:
        raise has_children from exc
    changes.note(handle, [row["for_id"]], Kind.PROVIDER)
