"""What is on hosts of a cell: their hypervisors, and how many live servers. For those who change what a host is in."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import ComputeNodeRow, InstanceRow, MigrationRow
from nova_lite.model.migration import OVER


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The UUIDs of a host's hypervisors, which are its providers in Placement, and its number of live servers."""

    nodes: tuple[str, ...] = ()
    servers: int = 0


def of_hosts(session: Session, hosts: Sequence[str]) -> dict[str, Occupancy]:
    """Return host → what is on it, for hosts that have either; two queries, however many there are."""
    nodes: dict[str, list[str]] = {}
    for uuid, host in session.execute(
        sa.select(ComputeNodeRow.uuid, ComputeNodeRow.host)
        .where(ComputeNodeRow.host.in_(hosts))
        .order_by(ComputeNodeRow.id)
    ):
        nodes.setdefault(host, []).append(uuid)
    counted: dict[str | None, int] = dict(
        session.execute(
            sa.select(InstanceRow.host, sa.func.count())
            .where(InstanceRow.host.in_(hosts), InstanceRow.deleted.is_(False))
            .group_by(InstanceRow.host)
        ).all()
    )
    return {
        host: Occupancy(tuple(nodes.get(host, ())), counted.get(host, 0))
        for host in hosts
        if host in nodes or host in counted
    }


@dataclass(frozen=True, slots=True)
class Share:
    """What live servers were promised of a host; memory in MiB, disk in GiB."""

    vcpus: int
    ram_mib: int
    disk_gib: int


def shares(session: Session, host: str) -> dict[str, Share]:
    """Return project → what its live servers were promised of a host."""
    row = InstanceRow
    found = session.execute(
        sa.select(
            row.project_id,
            sa.func.sum(row.vcpus),
            sa.func.sum(row.memory_mb),
            sa.func.sum(row.root_gb + row.ephemeral_gb),
        )
        .where(row.host == host, row.deleted.is_(False))
        .group_by(row.project_id)
        .order_by(row.project_id)
    )
    return {project: Share(int(vcpus), int(ram), int(disk)) for project, vcpus, ram, disk in found}


def has_unfinished_migrations(session: Session, host: str) -> bool:
    """Return whether a server is on its way from or to a host, or is yet to be confirmed."""
    found = sa.select(MigrationRow.id).where(
        sa.or_(MigrationRow.source_host == host, MigrationRow.dest_host == host), MigrationRow.status.not_in(OVER)
    )
    return session.scalar(found.limit(1)) is not None
