"""What an audit reads of the API database and of a cell's: only what it judges, in pages, without locks."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import (
    ApiWorkflowRow,
    BuildRequestRow,
    HostMappingRow,
    InstanceMappingRow,
    RequestSpecRow,
    ServerGroupMemberRow,
    ServerGroupRow,
)
from nova_lite.db.cell_tables import CellWorkflowRow, ComputeNodeRow, InstanceRow, MigrationRow, ServiceRow
from nova_lite.db.repositories import evacuations
from nova_lite.db.repositories.claimants import claimed
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.flavor import Flavor
from nova_lite.model.migration import OVER
from nova_lite.model.sightings import SeenMapping, SeenMember, SeenMove, SeenServer, SeenWork
from nova_lite.model.states import VmState
from nova_lite.model.workflow import OPEN
from nova_lite.storage import epoch_now

#: Rows of one page.
PAGE = 1000

_SERVER = (
    InstanceRow.uuid,
    InstanceRow.project_id,
    InstanceRow.user_id,
    InstanceRow.vm_state,
    InstanceRow.task_state,
    InstanceRow.host,
    InstanceRow.node,
    InstanceRow.epoch,
    InstanceRow.flavor,
    InstanceRow.image_properties,
    InstanceRow.launched_at,
    InstanceRow.updated_at,
    InstanceRow.volumes,
)


def works(session: Session, row: type[ApiWorkflowRow] | type[CellWorkflowRow], cell: str | None) -> list[SeenWork]:
    """Return the open workflows of a database, ``cell``'s or (None) the API's."""
    rows = session.execute(
        sa.select(
            row.uuid,
            row.kind,
            row.subject,
            row.inputs,
            row.status,
            row.step,
            epoch_now() - row.lease_until,
            epoch_now() - row.deadline,
            row.reason,
        ).where(row.status.in_(OPEN))
    )
    return [
        SeenWork(uuid, kind, _subjects(subject, inputs), cell, status, step, float(idle_s), float(late_s), reason)
        for uuid, kind, subject, inputs, status, step, idle_s, late_s, reason in rows
    ]


def _subjects(subject: str, inputs: dict[str, Any]) -> tuple[str, ...]:
    more = [*inputs.get("instance_uuids", ()), *([inputs["move"]] if "move" in inputs else [])]
    host = [inputs["host"]] if isinstance(inputs.get("host"), str) else []
    return tuple(dict.fromkeys([subject, *more, *host]))


def mappings(session: Session, after: str) -> list[SeenMapping]:
    """Return the next page of instance mappings, behind the UUID ``after``."""
    rows = session.execute(
        sa.select(
            InstanceMappingRow.instance_uuid,
            InstanceMappingRow.cell_uuid,
            InstanceMappingRow.queued_for_delete,
            InstanceMappingRow.vcpus,
            InstanceMappingRow.ram_mib,
        )
        .where(InstanceMappingRow.instance_uuid > after)
        .order_by(InstanceMappingRow.instance_uuid)
        .limit(PAGE)
    )
    return [SeenMapping(*row) for row in rows]


def build_requests(session: Session) -> set[str]:
    """Return the servers that have a build request."""
    return set(session.scalars(sa.select(BuildRequestRow.instance_uuid)))


def failed_builds(session: Session) -> set[str]:
    """Return the servers in ERROR that have a build request still: no cell takes them."""
    rows = session.execute(sa.select(BuildRequestRow.instance_uuid, BuildRequestRow.instance))
    return {uuid for uuid, instance in rows if instance.get("vm_state") == VmState.ERROR}


def lone_specs(session: Session) -> set[str]:
    """Return the servers of which what was asked is known, and nothing else."""
    mapped = sa.select(InstanceMappingRow.instance_uuid).where(
        InstanceMappingRow.instance_uuid == RequestSpecRow.instance_uuid
    )
    return set(session.scalars(sa.select(RequestSpecRow.instance_uuid).where(~mapped.exists())))


def members(session: Session) -> list[SeenMember]:
    """Return every place in a server group."""
    rows = session.execute(
        sa.select(
            ServerGroupMemberRow.instance_uuid,
            ServerGroupRow.uuid,
            ServerGroupMemberRow.host,
            ServerGroupMemberRow.spares,
            ServerGroupMemberRow.way_back,
        ).join(ServerGroupRow, ServerGroupRow.id == ServerGroupMemberRow.group_id)
    )
    return [
        SeenMember(uuid, group, host, None if spares is None else tuple(spares), way_back)
        for uuid, group, host, spares, way_back in rows
    ]


def host_mappings(session: Session) -> dict[str, str]:
    """Return host → cell."""
    return dict(session.execute(sa.select(HostMappingRow.host, HostMappingRow.cell_uuid)).all())


def servers(session: Session, cell: str, after: int) -> tuple[list[SeenServer], int]:
    """Return the next page of a cell's live instances behind row ``after``, and where the next one begins."""
    rows = session.execute(
        sa.select(InstanceRow.id, *_SERVER)
        .where(InstanceRow.id > after, InstanceRow.deleted.is_(False))
        .order_by(InstanceRow.id)
        .limit(PAGE)
    ).all()
    return [_server(row[1:], cell) for row in rows], rows[-1][0] if rows else after


def server(session: Session, cell: str, uuid: str) -> SeenServer | None:
    """Return a live instance, held until the transaction ends, or None."""
    row = session.execute(
        sa.select(*_SERVER).where(InstanceRow.uuid == uuid, InstanceRow.deleted.is_(False)).with_for_update()
    ).one_or_none()
    return None if row is None else _server(row, cell)


def peek(session: Session, cell: str, uuid: str) -> SeenServer | None:
    """Return a live instance, or None."""
    row = session.execute(
        sa.select(*_SERVER).where(InstanceRow.uuid == uuid, InstanceRow.deleted.is_(False))
    ).one_or_none()
    return None if row is None else _server(row, cell)


def _server(row: Sequence[Any], cell: str) -> SeenServer:
    uuid, project, user, vm_state, task, host, node, epoch, flavor, properties, launched_at, *rest = row
    return SeenServer(
        uuid=uuid,
        cell=cell,
        project_id=project,
        user_id=user,
        vm_state=vm_state,
        task_state=task,
        host=host,
        node=node,
        epoch=epoch,
        flavor=claimed(flavor, rest[1]),
        image_properties=properties,
        has_launched=launched_at is not None,
        updated_at=rest[0],
        volumes=msgspec.convert(rest[1], tuple[BlockDevice, ...]) if rest[1] else (),
    )


def moves(session: Session, cell: str) -> list[SeenMove]:
    """Return a cell's migrations that still hold something: not over, or evacuated from a host that is to clean up."""
    holds = sa.or_(MigrationRow.status.not_in(OVER), evacuations.IS_LEFT)
    rows = session.scalars(sa.select(MigrationRow).where(holds))
    return [
        SeenMove(
            uuid=row.uuid,
            instance_uuid=row.instance_uuid,
            cell=cell,
            kind=row.kind,
            status=row.status,
            project_id=row.project_id,
            user_id=row.user_id,
            source_host=row.source_host,
            source_node=row.source_node,
            dest_host=row.dest_host,
            dest_node=row.dest_node,
            old_flavor=Flavor(**row.old_flavor),
            new_flavor=Flavor(**row.new_flavor),
            updated_at=row.updated_at or row.created_at,
        )
        for row in rows
    ]


def dead_among(session: Session, uuids: Collection[str]) -> set[str]:
    """Return those of ``uuids`` that are deleted instances of this cell."""
    found: set[str] = set()
    for batch in _batches(uuids):
        found |= set(
            session.scalars(sa.select(InstanceRow.uuid).where(InstanceRow.uuid.in_(batch), InstanceRow.deleted))
        )
    return found


def registered_hosts(session: Session, binary: str) -> set[str]:
    """Return the hosts that have a service ``binary`` or a hypervisor in this cell."""
    services = session.scalars(sa.select(ServiceRow.host).where(ServiceRow.binary == binary))
    return {*services, *session.scalars(sa.select(ComputeNodeRow.host))}


def _batches(uuids: Collection[str]) -> Iterator[list[str]]:
    waiting = list(uuids)
    for start in range(0, len(waiting), PAGE // 2):
        yield waiting[start : start + PAGE // 2]


# -- what repairs ask again, and write


def mapping(session: Session, uuid: str) -> SeenMapping | None:
    """Return a mapping, held until the transaction ends, or None."""
    row = session.scalar(sa.select(InstanceMappingRow).filter_by(instance_uuid=uuid).with_for_update())
    if row is None:
        return None
    return SeenMapping(row.instance_uuid, row.cell_uuid, row.queued_for_delete, row.vcpus, row.ram_mib)


def is_alive(session: Session, uuid: str) -> bool | None:
    """Return whether a server lives in this cell; None when the cell has no row of it."""
    is_deleted = session.scalar(sa.select(InstanceRow.deleted).where(InstanceRow.uuid == uuid))
    return None if is_deleted is None else not is_deleted


def is_unborn(session: Session, uuid: str) -> bool:
    """Return whether a server is accepted and in no cell yet."""
    statement = sa.select(InstanceMappingRow.cell_uuid).where(InstanceMappingRow.instance_uuid == uuid)
    return any(cell is None for cell in session.scalars(statement))


def is_worked_on(session: Session, uuid: str) -> bool:
    """Return whether an open workflow of this cell is about a server."""
    found = sa.select(CellWorkflowRow.id).where(CellWorkflowRow.subject == uuid, CellWorkflowRow.status.in_(OPEN))
    return session.scalar(found.limit(1)) is not None


def is_registered(session: Session, host: str) -> bool:
    """Return whether a service or a hypervisor of a host is known in this cell."""
    services = sa.select(ServiceRow.id).where(ServiceRow.host == host).limit(1)
    nodes = sa.select(ComputeNodeRow.id).where(ComputeNodeRow.host == host).limit(1)
    return session.scalar(services) is not None or session.scalar(nodes) is not None


def point_at(session: Session, uuid: str, cell: str) -> None:
    """Have a server be in a cell; its build request is over."""
    forget_request(session, uuid)
    session.execute(
        sa.update(InstanceMappingRow).where(InstanceMappingRow.instance_uuid == uuid).values(cell_uuid=cell)
    )


def forget_request(session: Session, uuid: str) -> None:
    """Drop a server's build request."""
    session.execute(sa.delete(BuildRequestRow).where(BuildRequestRow.instance_uuid == uuid))


def leave_groups(session: Session, uuid: str) -> None:
    """Take a server out of its group."""
    session.execute(sa.delete(ServerGroupMemberRow).where(ServerGroupMemberRow.instance_uuid == uuid))
