"""Resource classes and traits: their rows."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.placement.repositories import changes
from nova_lite.placement.tables import InventoryRow, ProviderTraitRow, ResourceClassRow, TraitRow
from nova_lite.storage import Reads, epoch_now

NameTable = type[ResourceClassRow] | type[TraitRow]


def load(connection: Reads, table: NameTable) -> dict[str, tuple[int, float]]:
    """Return every name → (id, time of its last change)."""
    rows = connection.execute(sa.select(table.name, table.id, table.updated_at).order_by(table.id))
    return {name: (row_id, updated_at) for name, row_id, updated_at in rows}


def ids(session: Session, table: NameTable, names: Iterable[str]) -> dict[str, int]:
    """Return name → id of those of ``names`` that exist."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    rows = session.execute(sa.select(table.name, table.id).where(table.name.in_(wanted)))
    return {row.name: row.id for row in rows}


def exists(session: Session, table: NameTable, name: str) -> bool:
    """Return whether ``name`` is there."""
    return session.scalar(sa.select(table.id).where(table.name == name)) is not None


def add(session: Session, table: NameTable, name: str) -> None:
    """Add ``name``; raises Conflict when it is there already."""
    try:
        session.execute(sa.insert(table).values(name=name, updated_at=epoch_now()))
    except IntegrityError as exc:
        raise errors.Conflict(f"{name} already exists.") from exc
    changes.note_names(session)


def remove(session: Session, table: NameTable, name: str) -> None:
    """Remove ``name``; raises NotFound, or Conflict while something uses it."""
    row_id = session.scalar(sa.select(table.id).where(table.name == name).with_for_update())
    if row_id is None:
        raise errors.NotFound(f"{name} does not exist.")
    used_by = (
        sa.select(ProviderTraitRow.provider_id).where(ProviderTraitRow.trait_id == row_id)
        if table is TraitRow
        else sa.select(InventoryRow.provider_id).where(InventoryRow.class_id == row_id)
    )
    in_use = errors.Conflict(f"{name} is in use by a resource provider.")
    if session.scalar(used_by.limit(1)) is not None:
        raise in_use
    try:
        session.execute(sa.delete(table).where(table.id == row_id))
    except IntegrityError as exc:
        raise in_use from exc
    changes.note_names(session)


def add_missing(session: Session, wanted: Mapping[NameTable, Iterable[str]]) -> int:
    """Add the names that are not there yet and return how many that were; raises Conflict when another was faster."""
    added = 0
    for table, names in wanted.items():
        there = load(session, table)
        missing = [name for name in names if name not in there]
        if missing:
            try:
                session.execute(sa.insert(table), [{"name": name, "updated_at": 0.0} for name in missing])
            except IntegrityError as exc:
                raise errors.Conflict("another process is adding the standard names") from exc
            session.execute(sa.update(table).where(table.name.in_(missing)).values(updated_at=epoch_now()))
            added += len(missing)
    if added:
        changes.note_names(session)
    return added
