"""A cell's services and hypervisors."""

import functools
import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import ComputeNodeRow, InstanceRow, ServiceRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import build_failures, host_changes, instances
from nova_lite.errors import Conflict, NotFound
from nova_lite.model.conductor import HostReport
from nova_lite.model.host import AgentState, ComputeNode, HostState, Hypervisor, Service
from nova_lite.model.instance import Instance
from nova_lite.storage import Handle, epoch_now

AGENT = "nova-compute"
CONDUCTOR = "nova-conductor"


@dataclass(frozen=True, slots=True)
class Usage:
    """What servers use of a hypervisor: memory in MiB, disk in GiB. ``busy`` are those something is done to."""

    servers: int = 0
    vcpus: int = 0
    ram_mib: int = 0
    disk_gib: int = 0
    busy: int = 0


#: The columns of services; read without the ORM, for a show of one server waits for this.
_SERVICES = tuple(cast(sa.Table, ServiceRow.__table__).c)
_IS_FRESH = (ServiceRow.last_seen > epoch_now() - sa.bindparam("down_after_s", type_=sa.Double())).label("is_fresh")
_ALL_SERVICES = sa.select(*_SERVICES, _IS_FRESH).order_by(ServiceRow.id)
_AGENT_ON = _ALL_SERVICES.where(ServiceRow.host == sa.bindparam("on_host"), ServiceRow.binary == AGENT)
#: Made once, for each show of a server runs it: a live instance, then what there is of its host's agent.
_WITH_AGENT = (
    sa.select(*instances.COLUMNS, ServiceRow.disabled, ServiceRow.forced_down, _IS_FRESH)
    .select_from(
        sa.outerjoin(InstanceRow, ServiceRow, sa.and_(ServiceRow.host == InstanceRow.host, ServiceRow.binary == AGENT))
    )
    .where(InstanceRow.uuid == sa.bindparam("instance"), InstanceRow.deleted.is_(False))
)
#: What services are asked for by → the condition.
_SERVICES_BY = {
    "host": ServiceRow.host == sa.bindparam("host"),
    "binary": ServiceRow.binary == sa.bindparam("binary"),
    "uuid": ServiceRow.uuid == sa.bindparam("uuid"),
    "number": ServiceRow.id == sa.bindparam("number"),
    "on_hosts": ServiceRow.host.in_(sa.bindparam("on_hosts", expanding=True)),
}
#: The columns that make a Usage.
_USAGE = (
    sa.func.count(),
    sa.func.sum(InstanceRow.vcpus),
    sa.func.sum(InstanceRow.memory_mb),
    sa.func.sum(InstanceRow.root_gb + InstanceRow.ephemeral_gb),
    sa.func.sum(sa.case((InstanceRow.task_state.is_not(None), 1), else_=0)),
)
#: Made once, for each list of hypervisors runs it.
_USED_ON = (
    sa.select(InstanceRow.node, *_USAGE)
    .where(InstanceRow.host.in_(sa.bindparam("on_hosts", expanding=True)), InstanceRow.deleted.is_(False))
    .group_by(InstanceRow.node)
)
#: The columns of hypervisors; read without the ORM, for lists may be long.
_NODES = tuple(cast(sa.Table, ComputeNodeRow.__table__).c)
#: The columns that make a Hypervisor.
_HYPERVISOR = (
    ComputeNodeRow.hypervisor_type,
    ComputeNodeRow.hypervisor_version,
    ComputeNodeRow.vcpus,
    ComputeNodeRow.memory_mb,
    ComputeNodeRow.local_gb,
    ComputeNodeRow.cpu_info,
    ComputeNodeRow.runs,
)


def beat(session: Session, host: str, binary: str, *, down_after_s: float = 60.0) -> None:
    """Note that a service lives; one seen for the first time is added.

    An agent that comes, or comes back after a silence, is a change of hosts; one that goes on is not. A silence is two
    thirds of ``down_after_s``, lest one that counted as down meanwhile be taken for one that goes on.
    """
    this = sa.update(ServiceRow).where(ServiceRow.host == host, ServiceRow.binary == binary)
    now = {"last_seen": epoch_now(), "updated_at": utcnow()}
    lived_on = session.execute(this.where(ServiceRow.last_seen > epoch_now() - down_after_s * 2 / 3).values(**now))
    if lived_on.rowcount != 0:  # type: ignore[attr-defined]
        return
    if session.execute(this.values(**now)).rowcount == 0:  # type: ignore[attr-defined]
        session.execute(
            sa.insert(ServiceRow).values(uuid=str(uuids.uuid4()), host=host, binary=binary, last_seen=epoch_now())
        )
    if binary == AGENT:
        host_changes.bump(session)


def register(session: Session, report: HostReport, *, down_after_s: float = 60.0) -> None:
    """Record a compute host's service and hypervisor, or bring them up to date."""
    beat(session, report.host, AGENT, down_after_s=down_after_s)
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
        "runs": None if resources.runs is None else [list(each) for each in resources.runs],
    }
    before = session.scalar(sa.select(ComputeNodeRow).where(ComputeNodeRow.uuid == report.node))
    if before is None:
        session.execute(sa.insert(ComputeNodeRow).values(uuid=report.node, **values))
    elif any(getattr(before, name) != value for name, value in values.items()):
        session.execute(sa.update(ComputeNodeRow).where(ComputeNodeRow.uuid == report.node).values(**values))
    else:
        return
    host_changes.bump(session)


def services(
    handle: Handle,
    *,
    down_after_s: float,
    host: str | None = None,
    binary: str | None = None,
    uuid: str | None = None,
    number: int | None = None,
    on_hosts: Sequence[str] | None = None,
) -> list[Service]:
    """Return the cell's services; down is one forced down or not seen for ``down_after_s`` by the database's clock."""
    asked = {"host": host, "binary": binary, "uuid": uuid, "number": number, "on_hosts": on_hosts}
    wanted = {name: value for name, value in asked.items() if value is not None}
    rows = handle.execute(_services_by(tuple(wanted)), {"down_after_s": down_after_s, **wanted})
    return [_service(row, bool(row.is_fresh)) for row in rows]


@functools.cache
def _services_by(names: tuple[str, ...]) -> sa.Select[Any]:
    """Return the statement that finds services by what is named; made once, for making one costs as much as its run."""
    return _ALL_SERVICES.where(*(_SERVICES_BY[name] for name in names))


def agent(handle: Handle, host: str, *, down_after_s: float) -> Service | None:
    """Return the agent of a host, None where none ever reported."""
    row = handle.execute(_AGENT_ON, {"on_host": host, "down_after_s": down_after_s}).one_or_none()
    return None if row is None else _service(row, bool(row.is_fresh))


def instance_with_agent(handle: Handle, uuid: str, *, down_after_s: float) -> tuple[Instance, AgentState | None]:
    """Return an instance and its host's agent, None where there is none of them; raises NotFound. One statement."""
    row = handle.execute(_WITH_AGENT, {"instance": uuid, "down_after_s": down_after_s}).one_or_none()
    if row is None:
        raise NotFound(f"Instance {uuid} could not be found.")
    *values, is_disabled, is_forced_down, is_fresh = row
    if is_disabled is None:
        return instances.instance_of(values), None
    return instances.instance_of(values), AgentState(is_disabled, is_forced_down, bool(is_fresh and not is_forced_down))


def change_service(session: Session, uuid: str, **values: object) -> None:
    """Set columns (``disabled``, ``disabled_reason``, ``forced_down``) of a service; raises NotFound."""
    done = session.execute(sa.update(ServiceRow).where(ServiceRow.uuid == uuid).values(**values))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound(f"Service {uuid} could not be found.")
    host_changes.bump(session)


def remove_service(session: Session, service: Service) -> None:
    """Forget a service and, of a compute host, its hypervisors; raises Conflict while servers live there."""
    session.scalar(sa.select(ServiceRow.id).where(ServiceRow.uuid == service.uuid).with_for_update())
    if service.binary == AGENT:
        living = sa.select(InstanceRow.id).where(InstanceRow.host == service.host, InstanceRow.deleted.is_(False))
        if session.scalar(living.limit(1)) is not None:
            raise Conflict("Unable to delete compute service that is hosting instances. Move or delete them first.")
        session.execute(sa.delete(ComputeNodeRow).where(ComputeNodeRow.host == service.host))
    done = session.execute(sa.delete(ServiceRow).where(ServiceRow.uuid == service.uuid))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound(f"Service {service.uuid} could not be found.")
    host_changes.bump(session)


def compute_nodes(
    handle: Handle,
    *,
    uuids_wanted: Sequence[str] | None = None,
    number: int | None = None,
    name_part: str | None = None,
    after: int = 0,
    limit: int | None = None,
    with_usage: bool = True,
) -> list[ComputeNode]:
    """Return the cell's hypervisors by age, with what their live servers use; two queries, however many there are.

    ``after`` is the number behind which the page begins.
    """
    statement = sa.select(*_NODES).order_by(ComputeNodeRow.id).limit(limit)
    if uuids_wanted is not None:
        statement = statement.where(ComputeNodeRow.uuid.in_(uuids_wanted))
    if number is not None:
        statement = statement.where(ComputeNodeRow.id == number)
    if name_part is not None:
        statement = statement.where(ComputeNodeRow.hypervisor_hostname.contains(name_part, autoescape=True))
    if after:
        statement = statement.where(ComputeNodeRow.id > after)
    rows = handle.execute(statement).all()
    used = _usage(handle, [row.host for row in rows]) if with_usage and rows else {}
    return [_node(row, used.get(row.uuid, Usage())) for row in rows]


def totals(session: Session) -> tuple[int, ComputeNode]:
    """Return how many hypervisors the cell has, and all of them added up as if they were one."""
    count, vcpus, ram, disk = session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(ComputeNodeRow.vcpus), 0),
            sa.func.coalesce(sa.func.sum(ComputeNodeRow.memory_mb), 0),
            sa.func.coalesce(sa.func.sum(ComputeNodeRow.local_gb), 0),
        )
    ).one()
    on_nodes = InstanceRow.node.in_(sa.select(ComputeNodeRow.uuid))
    used = _used(session.execute(sa.select(*_USAGE).where(on_nodes, InstanceRow.deleted.is_(False))).one())
    return int(count), ComputeNode(
        uuid="",
        host="",
        hypervisor_hostname="",
        hypervisor_type="",
        hypervisor_version=0,
        host_ip="",
        vcpus=int(vcpus),
        ram_mib=int(ram),
        disk_gib=int(disk),
        running_vms=used.servers,
        vcpus_used=used.vcpus,
        ram_mib_used=used.ram_mib,
        disk_gib_used=used.disk_gib,
        busy_vms=used.busy,
    )


def servers_on(handle: Handle, nodes: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return compute node UUID → UUID and name of its live servers, oldest first."""
    rows = handle.execute(
        sa.select(InstanceRow.node, InstanceRow.uuid, InstanceRow.display_name)
        .where(InstanceRow.node.in_(nodes), InstanceRow.deleted.is_(False))
        .order_by(InstanceRow.id)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for node, uuid, name in rows:
        found.setdefault(node or "", []).append((uuid, name))
    return found


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
            build_failures.recent(),
            ComputeNodeRow.host_ip,
            *_HYPERVISOR,
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
            failed_builds=failed_builds,
            host_ip=host_ip or "",
            hypervisor=_hypervisor(*told),
        )
        for uuid, host, name, is_up, is_disabled, reason, failed_builds, host_ip, *told in rows
    ]


def states_last_s(session: Session, *, down_after_s: float) -> float | None:
    """Return for how many seconds what ``states`` says stays true by itself; None: for ever.

    Until then no agent will have been silent for too long that is not yet, and no failed builds will be forgotten.
    """
    now = epoch_now()
    beats = sa.select(sa.func.min(ServiceRow.last_seen) - now + down_after_s).where(
        ServiceRow.binary == AGENT, ServiceRow.last_seen > now - down_after_s
    )
    failures = sa.select(sa.func.min(ComputeNodeRow.last_failed_build) - now + build_failures.FORGOTTEN_AFTER_S).where(
        ComputeNodeRow.last_failed_build > now - build_failures.FORGOTTEN_AFTER_S
    )
    ends = session.execute(sa.select(beats.scalar_subquery(), failures.scalar_subquery())).one()
    return min((float(end) for end in ends if end is not None), default=None)


def node_hosts(session: Session) -> dict[str, str]:
    """Return compute node UUID → host for every hypervisor of the cell."""
    return dict(session.execute(sa.select(ComputeNodeRow.uuid, ComputeNodeRow.host)).all())


def nodes_of(session: Session, host: str) -> list[str]:
    """Return the UUIDs of a host's compute nodes."""
    return list(session.scalars(sa.select(ComputeNodeRow.uuid).where(ComputeNodeRow.host == host)))


def _usage(handle: Handle, on_hosts: Sequence[str]) -> Mapping[str | None, Usage]:
    """Return compute node UUID → what its live servers use."""
    return {node: _used(used) for node, *used in handle.execute(_USED_ON, {"on_hosts": on_hosts})}


def _used(row: Sequence[Any]) -> Usage:
    """Return what a row of ``_USAGE`` says; sums over nothing are NULL."""
    return Usage(*(int(value or 0) for value in row))


def _hypervisor(
    kind: str,
    version: int,
    vcpus: int,
    ram_mib: int,
    disk_gib: int,
    cpu_info: dict[str, object],
    runs: list[list[str]] | None,
) -> Hypervisor:
    kinds = None if runs is None else tuple((arch, type_, mode) for arch, type_, mode in runs)
    return Hypervisor(kind, version, vcpus, ram_mib, disk_gib, cpu_info, kinds)


def _service(row: Any, is_fresh: bool) -> Service:
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
        number=row.id,
    )


def _node(row: sa.Row[Any], used: Usage) -> ComputeNode:
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
        running_vms=used.servers,
        vcpus_used=used.vcpus,
        ram_mib_used=used.ram_mib,
        disk_gib_used=used.disk_gib,
        busy_vms=used.busy,
        number=row.id,
    )
