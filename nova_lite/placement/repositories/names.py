"""Resource classes and traits: their rows."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.placement.repositories import changes
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.tables import CLASSES, INVENTORIES, PROVIDER_TRAITS, TRAITS, ResourceClassRow, TraitRow
from nova_lite.storage import Handle, epoch_now

NameTable = type[ResourceClassRow] | type[TraitRow]


class _Statements:
    """What is asked of one of the two tables; ``user`` is the column that refers to it."""

    def __init__(self, table: sa.Table, user: sa.Column[int]) -> None:
        name = sa.bindparam("name", type_=sa.String)
        self.table = table
        self.load = sa.select(table.c.name, table.c.id, table.c.updated_at).order_by(table.c.id)
        self.ids = sa.select(table.c.name, table.c.id).where(table.c.name.in_(sa.bindparam("names", expanding=True)))
        self.find = sa.select(table.c.id).where(table.c.name == name)
        self.lock = self.find.with_for_update()
        self.add = sa.insert(table).values(name=name, updated_at=epoch_now())
        self.used = sa.select(user).where(user == sa.bindparam("id", type_=sa.BigInteger)).limit(1)
        self.remove = sa.delete(table).where(table.c.id == sa.bindparam("row_id", type_=sa.BigInteger))
        self.rename = (
            sa.update(table)
            .where(table.c.id == sa.bindparam("row_id", type_=sa.BigInteger))
            .values(name=sa.bindparam("new_name"), updated_at=epoch_now())
        )


_STATEMENTS: Mapping[NameTable, _Statements] = {
    ResourceClassRow: _Statements(CLASSES, INVENTORIES.c.class_id),
    TraitRow: _Statements(TRAITS, PROVIDER_TRAITS.c.trait_id),
}


def load(handle: Handle, table: NameTable) -> dict[str, tuple[int, float]]:
    """Return every name → (id, time of its last change)."""
    rows = handle.execute(_STATEMENTS[table].load)
    return {name: (row_id, updated_at) for name, row_id, updated_at in rows}


def ids(handle: Handle, table: NameTable, names: Iterable[str]) -> dict[str, int]:
    """Return name → id of those of ``names`` that exist."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    return {row.name: row.id for row in handle.execute(_STATEMENTS[table].ids, {"names": wanted})}


def exists(handle: Handle, table: NameTable, name: str) -> bool:
    """Return whether ``name`` is there."""
    return handle.scalar(_STATEMENTS[table].find, {"name": name}) is not None


def add(handle: Handle, table: NameTable, name: str) -> None:
    """Add ``name``; raises Conflict when it is there already."""
    try:
        handle.execute(_STATEMENTS[table].add, {"name": name})
    except IntegrityError as exc:
        raise errors.Conflict(f"{name} already exists.") from exc
    changes.note_names(handle)


def rename_class(handle: Handle, name: str, new_name: str) -> None:
    """Rename a resource class; raises NotFound, or Conflict when the new name is taken."""
    statements = _STATEMENTS[ResourceClassRow]
    row_id = handle.scalar(statements.lock, {"name": name})
    if row_id is None:
        raise errors.NotFound(f"No such resource class {name}.")
    if name == new_name:
        return
    try:
        handle.execute(statements.rename, {"row_id": row_id, "new_name": new_name})
    except IntegrityError as exc:
        raise errors.Conflict(f"Resource class already exists: {new_name}") from exc
    changes.note_names(handle)
    # Readers know inventories by the names of their classes.
    holders = handle.scalars(sa.select(INVENTORIES.c.provider_id).where(INVENTORIES.c.class_id == row_id))
    changes.note(handle, holders, Kind.PROVIDER)


def remove(handle: Handle, table: NameTable, name: str) -> None:
    """Remove ``name``; raises NotFound, or Conflict while something uses it."""
    statements = _STATEMENTS[table]
    row_id = handle.scalar(statements.lock, {"name": name})
    if row_id is None:
        raise errors.NotFound(f"{name} does not exist.")
    in_use = errors.Conflict(f"{name} is in use by a resource provider.")
    if handle.scalar(statements.used, {"id": row_id}) is not None:
        raise in_use
    try:
        handle.execute(statements.remove, {"row_id": row_id})
    except IntegrityError as exc:
        raise in_use from exc
    changes.note_names(handle)


def add_missing(handle: Handle, wanted: Mapping[NameTable, Iterable[str]]) -> int:
    """Add the names that are not there yet and return how many that were; raises Conflict when another was faster."""
    added = 0
    now = handle.scalar(sa.select(epoch_now()))
    for kind, names in wanted.items():
        there = load(handle, kind)
        missing = [name for name in names if name not in there]
        if missing:
            table = _STATEMENTS[kind].table
            try:
                handle.execute(sa.insert(table), [{"name": name, "updated_at": now} for name in missing])
            except IntegrityError as exc:
                raise errors.Conflict("another process is adding the standard names") from exc
            added += len(missing)
    if added:
        changes.note_names(handle)
    return added
