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


def has_unfinished_migrations(session: Session, host: str) -> bool:
    """Return whether a server is on its way from or to a host, or is yet to be confirmed."""
    found = sa.select(MigrationRow.id).where(
        sa.or_(MigrationRow.source_host == host, MigrationRow.dest_host == host), MigrationRow.status.not_in(OVER)
    )
    return session.scalar(found.limit(1)) is not None
