"""A cell's services and hypervisors."""

import uuid as uuids
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import ComputeNodeRow, InstanceRow, ServiceRow
from nova_lite.db.columns import utcnow
from nova_lite.errors import NotFound
from nova_lite.model.conductor import HostReport
from nova_lite.model.host import ComputeNode, HostState, Service
from nova_lite.storage import epoch_now

AGENT = "nova-compute"


def beat(session: Session, host: str, binary: str) -> None:
    """Note that a service lives; one seen for the first time is added."""
    known = session.execute(
        sa.update(ServiceRow)
        .where(ServiceRow.host == host, ServiceRow.binary == binary)
        .values(last_seen=epoch_now(), updated_at=utcnow())
    )
    if known.rowcount == 0:  # type: ignore[attr-defined]
        session.execute(
            sa.insert(ServiceRow).values(uuid=str(uuids.uuid4()), host=host, binary=binary, last_seen=epoch_now())
        )


def register(session: Session, report: HostReport) -> None:
    """Record a compute host's service and hypervisor, or bring them up to date."""
    beat(session, report.host, AGENT)
    resources = report.resources
    values = {
        "host": report.host,
        "hypervisor_hostname": resources.hypervisor_hostname,
        "hypervisor_type": resources.hypervisor_type,
        "hypervisor_version": resources.hypervisor_version,
        "host_ip": resources.host_ip,
        "vcpus": resources.vcpus,
        "memory_mb": resources.ram_mib,
        "local_gb": resources.disk_gib,
        "cpu_info": resources.cpu_info,
    }
    known = session.execute(sa.update(ComputeNodeRow).where(ComputeNodeRow.uuid == report.node).values(**values))
    if known.rowcount == 0:  # type: ignore[attr-defined]
        session.execute(sa.insert(ComputeNodeRow).values(uuid=report.node, **values))


def services(
    session: Session, *, down_after_s: float, host: str | None = None, binary: str | None = None
) -> list[Service]:
    """Return the cell's services; one not seen for ``down_after_s`` by the database's clock, or forced down, is down."""
    is_fresh = ServiceRow.last_seen > epoch_now() - down_after_s
    statement = sa.select(ServiceRow, is_fresh).order_by(ServiceRow.id)
    if host is not None:
        statement = statement.where(ServiceRow.host == host)
    if binary is not None:
        statement = statement.where(ServiceRow.binary == binary)
    return [_service(row, bool(fresh)) for row, fresh in session.execute(statement)]


def change_service(session: Session, uuid: str, **values: object) -> None:
    """Set columns (``disabled``, ``disabled_reason``, ``forced_down``) of a service; raises NotFound."""
    done = session.execute(sa.update(ServiceRow).where(ServiceRow.uuid == uuid).values(**values))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound(f"Service {uuid} could not be found.")


def compute_nodes(session: Session, *, uuids_wanted: Sequence[str] | None = None) -> list[ComputeNode]:
    """Return the cell's hypervisors with what their live servers use; two queries, however many there are."""
    statement = sa.select(ComputeNodeRow).order_by(ComputeNodeRow.id)
    if uuids_wanted is not None:
        statement = statement.where(ComputeNodeRow.uuid.in_(uuids_wanted))
    rows = list(session.scalars(statement))
    used = _usage(session, [row.host for row in rows])
    return [_node(row, used.get(row.uuid, (0, 0, 0, 0))) for row in rows]


def states(session: Session, cell_id: str, *, down_after_s: float) -> list[HostState]:
    """Return the cell's hypervisors as the scheduler sees them, without what Placement knows; one query."""
    is_fresh = ServiceRow.last_seen > epoch_now() - down_after_s
    rows = session.execute(
        sa.select(
            ComputeNodeRow.uuid,
            ComputeNodeRow.host,
            ComputeNodeRow.hypervisor_hostname,
            sa.and_(is_fresh, ServiceRow.forced_down.is_(False)),
            ServiceRow.disabled,
            ServiceRow.disabled_reason,
        ).join(ServiceRow, sa.and_(ServiceRow.host == ComputeNodeRow.host, ServiceRow.binary == AGENT))
    )
    return [
        HostState(
            cell_id=cell_id,
            host=host,
            node=uuid,
            node_name=name,
            is_up=bool(is_up),
            is_disabled=is_disabled,
            disabled_reason=reason,
        )
        for uuid, host, name, is_up, is_disabled, reason in rows
    ]


def node_hosts(session: Session) -> dict[str, str]:
    """Return compute node UUID → host for every hypervisor of the cell."""
    return dict(session.execute(sa.select(ComputeNodeRow.uuid, ComputeNodeRow.host)).all())


def _usage(session: Session, on_hosts: Sequence[str]) -> Mapping[str, tuple[int, int, int, int]]:
    """Return compute node UUID → servers, vCPUs, MiB of memory and GiB of disk used."""
    rows = session.execute(
        sa.select(
            InstanceRow.node,
            sa.func.count(),
            sa.func.sum(InstanceRow.vcpus),
            sa.func.sum(InstanceRow.memory_mb),
            sa.func.sum(InstanceRow.root_gb + InstanceRow.ephemeral_gb),
        )
        .where(InstanceRow.host.in_(on_hosts), InstanceRow.deleted.is_(False))
        .group_by(InstanceRow.node)
    )
    return {str(node): (int(count), int(cpus), int(ram), int(disk)) for node, count, cpus, ram, disk in rows}


def _service(row: ServiceRow, is_fresh: bool) -> Service:
    return Service(
        uuid=row.uuid,
        host=row.host,
        binary=row.binary,
        is_disabled=row.disabled,
        disabled_reason=row.disabled_reason,
        is_forced_down=row.forced_down,
        is_up=is_fresh and not row.forced_down,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def _node(row: ComputeNodeRow, used: tuple[int, int, int, int]) -> ComputeNode:
    return ComputeNode(
        uuid=row.uuid,
        host=row.host,
        hypervisor_hostname=row.hypervisor_hostname,
        hypervisor_type=row.hypervisor_type,
        hypervisor_version=row.hypervisor_version,
        host_ip=row.host_ip,
        vcpus=row.vcpus,
        ram_mib=row.memory_mb,
        disk_gib=row.local_gb,
        cpu_info=row.cpu_info,
        running_vms=used[0],
        vcpus_used=used[1],
        ram_mib_used=used[2],
        disk_gib_used=used[3],
    )
