"""What lives where: cell, host and instance mappings, all in the API database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import (
    AggregateHostRow,
    BuildRequestRow,
    CellMappingRow,
    HostMappingRow,
    InstanceMappingRow,
    MappedUpToRow,
    RequestSpecRow,
    ServerGroupMemberRow,
    ServerGroupRow,
)
from nova_lite.db.repositories import mapping_changes, quotas
from nova_lite.errors import NotFound
from nova_lite.model.host import Cell
from nova_lite.storage import Handle, unanswered

#: The lock under which the first cell is added; no project is called so.
_NO_CELLS = "*cells"


@dataclass(frozen=True, slots=True)
class InstanceMapping:
    """Where an instance is; ``cell_uuid`` is None until a cell is chosen, ``group`` its server group if it has one."""

    instance_uuid: str
    cell_uuid: str | None
    project_id: str
    user_id: str
    is_queued_for_delete: bool
    created_at: datetime
    group: str | None = None


#: The columns of an InstanceMapping, in the order of its fields.
_WHERE_IT_IS = (
    sa.select(
        InstanceMappingRow.instance_uuid,
        InstanceMappingRow.cell_uuid,
        InstanceMappingRow.project_id,
        InstanceMappingRow.user_id,
        InstanceMappingRow.queued_for_delete,
        InstanceMappingRow.created_at,
        ServerGroupRow.uuid,
    )
    .outerjoin(ServerGroupMemberRow, ServerGroupMemberRow.instance_uuid == InstanceMappingRow.instance_uuid)
    .outerjoin(ServerGroupRow, ServerGroupRow.id == ServerGroupMemberRow.group_id)
    .where(InstanceMappingRow.instance_uuid == sa.bindparam("uuid"))
)
_REQUESTS = cast(sa.Table, BuildRequestRow.__table__)
_UNREQUESTED = sa.delete(_REQUESTS).where(_REQUESTS.c.instance_uuid == sa.bindparam("uuid"))
_MAPPINGS = cast(sa.Table, InstanceMappingRow.__table__)
_ADD = unanswered(sa.insert(_MAPPINGS))
_SOME: sa.BindParameter[Sequence[str]] = sa.bindparam("some", expanding=True)
_CELLS_OF = sa.select(_MAPPINGS.c.instance_uuid, _MAPPINGS.c.cell_uuid).where(
    _MAPPINGS.c.instance_uuid.in_(_SOME),
    _MAPPINGS.c.cell_uuid.is_not(None),
    _MAPPINGS.c.queued_for_delete.is_(False),
)
#: Made once, for each look at limits and each new server runs one of them.
_USED = sa.select(
    sa.func.count(),
    sa.func.coalesce(sa.func.sum(_MAPPINGS.c.vcpus), 0),
    sa.func.coalesce(sa.func.sum(_MAPPINGS.c.ram_mib), 0),
).where(_MAPPINGS.c.project_id == sa.bindparam("project"), _MAPPINGS.c.queued_for_delete.is_(False))
_USED_BY_USER = _USED.where(_MAPPINGS.c.user_id == sa.bindparam("user"))
_POINTED = sa.update(_MAPPINGS).where(_MAPPINGS.c.instance_uuid == sa.bindparam("this"))


def cells(session: Session) -> list[Cell]:
    """Return every cell, cell0 first, then by age."""
    rows = session.scalars(sa.select(CellMappingRow).order_by(CellMappingRow.created_at, CellMappingRow.uuid))
    return sorted((_cell(row) for row in rows), key=lambda cell: not cell.is_cell0)


def cell(session: Session, uuid: str) -> Cell:
    """Return one cell; raises NotFound."""
    row = session.get(CellMappingRow, uuid)
    if row is None:
        raise NotFound(f"Cell with uuid {uuid} was not found.")
    return _cell(row)


def add_cell(session: Session, new: Cell) -> None:
    """Record a new cell."""
    session.add(
        CellMappingRow(
            uuid=new.uuid,
            name=new.name,
            transport_url=new.transport_url,
            database_connection=new.database_connection,
            disabled=new.is_disabled,
        )
    )
    session.flush()
    mapping_changes.bump(session)


def change_cell(session: Session, changed: Cell) -> None:
    """Write a cell's mapping anew; raises NotFound."""
    row = session.get(CellMappingRow, changed.uuid)
    if row is None:
        raise NotFound(f"Cell with uuid {changed.uuid} was not found.")
    row.name = changed.name
    row.transport_url = changed.transport_url
    row.database_connection = changed.database_connection
    row.disabled = changed.is_disabled
    session.flush()
    mapping_changes.bump(session)


def has_instances(session: Session, cell_uuid: str) -> bool:
    """Return whether an instance, dead or alive, is mapped to a cell."""
    found = sa.select(InstanceMappingRow.instance_uuid).where(InstanceMappingRow.cell_uuid == cell_uuid)
    return session.scalar(found.limit(1)) is not None


def remove_cell(session: Session, uuid: str) -> None:
    """Forget a cell with its hosts, and the mappings of its instances, which must be dead."""
    hosts_there = sa.select(HostMappingRow.host).where(HostMappingRow.cell_uuid == uuid)
    mapped = sa.select(InstanceMappingRow.instance_uuid).where(InstanceMappingRow.cell_uuid == uuid)
    session.execute(sa.delete(AggregateHostRow).where(AggregateHostRow.host.in_(hosts_there)))
    session.execute(sa.delete(HostMappingRow).where(HostMappingRow.cell_uuid == uuid))
    session.execute(sa.delete(RequestSpecRow).where(RequestSpecRow.instance_uuid.in_(mapped)))
    session.execute(sa.delete(InstanceMappingRow).where(InstanceMappingRow.cell_uuid == uuid))
    session.execute(sa.delete(MappedUpToRow).where(MappedUpToRow.cell_uuid == uuid))
    session.execute(sa.delete(CellMappingRow).where(CellMappingRow.uuid == uuid))
    mapping_changes.bump(session)


def lock_cells(session: Session) -> None:
    """Let nobody else that locks the cells add or change one until this transaction ends."""
    rows = sa.select(CellMappingRow.uuid).order_by(CellMappingRow.uuid).with_for_update()
    if not session.execute(rows).all():
        # There is no row to hold yet, and another may add the first meanwhile.
        quotas.lock(session, _NO_CELLS)
        session.execute(rows).all()


def hosts(session: Session, cell_uuid: str | None = None) -> dict[str, str]:
    """Return host → cell UUID, of one cell or of all."""
    statement = sa.select(HostMappingRow.host, HostMappingRow.cell_uuid).order_by(HostMappingRow.host)
    if cell_uuid is not None:
        statement = statement.filter_by(cell_uuid=cell_uuid)
    return dict(session.execute(statement).all())


def add_host(session: Session, host: str, cell_uuid: str) -> None:
    """Map a host; the database refuses a host that is mapped already."""
    session.add(HostMappingRow(host=host, cell_uuid=cell_uuid))
    session.flush()
    mapping_changes.bump(session)


def remove_host(session: Session, host: str) -> None:
    """Forget a host that is gone: its mapping, and its place in aggregates."""
    session.execute(sa.delete(HostMappingRow).where(HostMappingRow.host == host))
    session.execute(sa.delete(AggregateHostRow).where(AggregateHostRow.host == host))
    mapping_changes.bump(session)


def instance(handle: Handle, uuid: str) -> InstanceMapping:
    """Return where an instance is; raises NotFound for one that was never accepted or is being deleted unborn."""
    row = handle.execute(_WHERE_IT_IS, {"uuid": uuid}).one_or_none()
    if row is None:
        raise NotFound(f"Instance {uuid} could not be found.")
    return InstanceMapping(*row)


def in_cell(session: Session, cell_uuid: str, project_id: str | None, *, limit: int) -> list[tuple[str, str, datetime]]:
    """Return uuid, project and time of creation of a cell's instances, newest first: what is known when it is down."""
    statement = (
        sa.select(InstanceMappingRow.instance_uuid, InstanceMappingRow.project_id, InstanceMappingRow.created_at)
        .where(InstanceMappingRow.cell_uuid == cell_uuid, InstanceMappingRow.queued_for_delete.is_(False))
        .order_by(InstanceMappingRow.created_at.desc(), InstanceMappingRow.instance_uuid.desc())
        .limit(limit)
    )
    if project_id is not None:
        statement = statement.where(InstanceMappingRow.project_id == project_id)
    return [(uuid, project, created_at) for uuid, project, created_at in session.execute(statement)]


def cells_of_instances(handle: Handle, uuids: Sequence[str]) -> dict[str, str]:
    """Return instance → cell UUID, of those that are in a cell and not being deleted."""
    return {uuid: str(cell_uuid) for uuid, cell_uuid in handle.execute(_CELLS_OF, {"some": uuids})}


def instances_by_cell(session: Session) -> dict[str, int]:
    """Return cell UUID → instances in it that are not being deleted."""
    statement = (
        sa.select(InstanceMappingRow.cell_uuid, sa.func.count())
        .where(InstanceMappingRow.queued_for_delete.is_(False), InstanceMappingRow.cell_uuid.is_not(None))
        .group_by(InstanceMappingRow.cell_uuid)
    )
    return {str(uuid): count for uuid, count in session.execute(statement)}


def cells_of_project(session: Session, project_id: str) -> set[str]:
    """Return the UUIDs of the cells in which a project has instances, dead or alive; one look into an index a cell."""
    here = sa.and_(InstanceMappingRow.cell_uuid == CellMappingRow.uuid, InstanceMappingRow.project_id == project_id)
    return set(session.scalars(sa.select(CellMappingRow.uuid).where(sa.select(sa.true()).where(here).exists())))


def add_instances(
    handle: Handle,
    uuids: Iterable[str],
    *,
    project_id: str,
    user_id: str,
    vcpus: int,
    ram_mib: int,
    is_protected: bool = False,
) -> None:
    """Record new instances that are in no cell yet, all alike; one statement."""
    alike: dict[str, object] = {"project_id": project_id, "user_id": user_id, "vcpus": vcpus, "ram_mib": ram_mib}
    alike["deletion_protected"] = is_protected
    handle.execute(_ADD, [{"instance_uuid": uuid, **alike} for uuid in uuids])


def add_instance(session: Session, uuid: str, **alike: Any) -> None:
    """Record one new instance that is in no cell yet."""
    add_instances(session, [uuid], **alike)


def settle(session: Session, uuid: str, cell_uuid: str) -> bool:
    """Point an instance at its cell and drop its build request, if it is still wanted.

    False when it was deleted meanwhile. An instance that already points at ``cell_uuid`` is settled.
    """
    dropped = session.execute(_UNREQUESTED, {"uuid": uuid})
    if dropped.rowcount != 1:  # type: ignore[attr-defined]
        row = session.get(InstanceMappingRow, uuid)
        return row is not None and row.cell_uuid == cell_uuid
    session.execute(_POINTED, {"this": uuid, "cell_uuid": cell_uuid})
    return True


def counted(session: Session, uuid: str) -> tuple[int, int]:
    """Return the vCPUs and the MiB of memory that an instance counts for, held until the transaction ends."""
    row = session.get(InstanceMappingRow, uuid, with_for_update=True)
    if row is None:
        raise NotFound(f"Instance {uuid} could not be found.")
    return row.vcpus, row.ram_mib


def count(session: Session, uuid: str, *, vcpus: int, ram_mib: int) -> None:
    """Have an instance count for so much."""
    session.execute(
        sa.update(InstanceMappingRow)
        .where(InstanceMappingRow.instance_uuid == uuid)
        .values(vcpus=vcpus, ram_mib=ram_mib)
    )


def queue_for_delete(session: Session, uuid: str) -> None:
    """Stop counting an instance: it is being deleted."""
    session.execute(
        sa.update(InstanceMappingRow).where(InstanceMappingRow.instance_uuid == uuid).values(queued_for_delete=True)
    )


def queue_unless_protected(session: Session, uuid: str) -> bool:
    """Stop counting an instance that is to be deleted; False, and nothing is done, when it is protected from that."""
    queued = session.execute(
        sa.update(InstanceMappingRow)
        .where(InstanceMappingRow.instance_uuid == uuid, InstanceMappingRow.deletion_protected.is_(False))
        .values(queued_for_delete=True)
    )
    return bool(queued.rowcount == 1)  # type: ignore[attr-defined]


def protect(session: Session, uuid: str, *, is_protected: bool) -> bool:
    """Protect an instance from being deleted, or let it be deleted again; False when it is being deleted already."""
    written = session.execute(
        sa.update(InstanceMappingRow)
        .where(InstanceMappingRow.instance_uuid == uuid, InstanceMappingRow.queued_for_delete.is_(False))
        .values(deletion_protected=is_protected)
    )
    return bool(written.rowcount == 1)  # type: ignore[attr-defined]


def is_protected(session: Session, uuid: str) -> bool:
    """Return whether an instance is protected from being deleted."""
    found = sa.select(InstanceMappingRow.deletion_protected).filter_by(instance_uuid=uuid)
    return session.scalar(found) is True


def take_back(session: Session, uuid: str) -> bool:
    """Count an instance again: it is not to be deleted after all. False when it counts already."""
    taken = session.execute(
        sa.update(InstanceMappingRow)
        .where(InstanceMappingRow.instance_uuid == uuid, InstanceMappingRow.queued_for_delete)
        .values(queued_for_delete=False)
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]


def is_counted(session: Session, uuid: str) -> bool:
    """Return whether an instance is not to be deleted; that stays so until the transaction ends."""
    counted = sa.select(InstanceMappingRow.queued_for_delete).filter_by(instance_uuid=uuid).with_for_update()
    return session.scalar(counted) is False


def wanted(session: Session, uuids: Sequence[str]) -> set[str]:
    """Return those of ``uuids`` that are mapped and were not deleted before a cell was chosen."""
    return set(
        session.scalars(
            sa.select(InstanceMappingRow.instance_uuid).where(
                InstanceMappingRow.instance_uuid.in_(uuids),
                sa.or_(InstanceMappingRow.cell_uuid.is_not(None), InstanceMappingRow.queued_for_delete.is_(False)),
            )
        )
    )


def unborn(session: Session, uuids: Sequence[str]) -> list[str]:
    """Return those of ``uuids`` that were deleted before a cell was chosen."""
    return list(
        session.scalars(
            sa.select(InstanceMappingRow.instance_uuid).where(
                InstanceMappingRow.instance_uuid.in_(uuids),
                InstanceMappingRow.cell_uuid.is_(None),
                InstanceMappingRow.queued_for_delete,
            )
        )
    )


def remove_instances(session: Session, uuids: Iterable[str]) -> None:
    """Forget instances that no cell holds, what was asked for them and their places in groups."""
    gone = list(uuids)
    session.execute(sa.delete(ServerGroupMemberRow).where(ServerGroupMemberRow.instance_uuid.in_(gone)))
    session.execute(sa.delete(RequestSpecRow).where(RequestSpecRow.instance_uuid.in_(gone)))
    session.execute(sa.delete(InstanceMappingRow).where(InstanceMappingRow.instance_uuid.in_(gone)))


def usage(handle: Handle, project_id: str, user_id: str | None = None) -> tuple[int, int, int]:
    """Return the instances, vCPUs and MiB of memory that a project (or a user in it) has now."""
    statement = _USED if user_id is None else _USED_BY_USER
    instances, vcpus, ram_mib = handle.execute(statement, {"project": project_id, "user": user_id}).one()
    return int(instances), int(vcpus), int(ram_mib)


def _cell(row: CellMappingRow) -> Cell:
    return Cell(row.uuid, row.name, row.transport_url, row.database_connection, row.disabled)
