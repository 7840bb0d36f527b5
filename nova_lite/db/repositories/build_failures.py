"""Builds that failed one after the other on a hypervisor, written in its row for the scheduler to weigh.

A build that works makes them forgotten, and so does time: a host that is mended is not shunned for ever.
"""

from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import ComputeNodeRow
from nova_lite.db.repositories import host_changes
from nova_lite.storage import epoch_now

#: Seconds after the last failure when all are forgotten.
FORGOTTEN_AFTER_S = 3600.0
_NODES = cast(sa.Table, ComputeNodeRow.__table__).c
#: Made once, for each build that works runs it.
_FAILED = sa.select(_NODES.failed_builds).where(_NODES.uuid == sa.bindparam("node"))


def add(session: Session, node: str, *, at_most: int) -> None:
    """Count one more failed build of a hypervisor; ``at_most`` as many are told apart."""
    session.execute(
        sa.update(ComputeNodeRow)
        .where(ComputeNodeRow.uuid == node)
        # In this order: MySQL reads what it has just set.
        .ordered_values(
            (ComputeNodeRow.failed_builds, sa.case((recent() < at_most, recent() + 1), else_=at_most)),
            (ComputeNodeRow.last_failed_build, epoch_now()),
        )
    )
    host_changes.bump(session)


def forget(session: Session, node: str) -> None:
    """Forget the failed builds of a hypervisor: one has just worked. Writes only if there were any."""
    if session.scalar(_FAILED, {"node": node}):
        session.execute(
            sa.update(ComputeNodeRow).where(ComputeNodeRow.uuid == node).values(failed_builds=0, last_failed_build=None)
        )
        host_changes.bump(session)


def recent() -> sa.ColumnElement[int]:
    """Return what tells, in a query of hypervisors, how many builds failed lately."""
    is_recent = ComputeNodeRow.last_failed_build > epoch_now() - FORGOTTEN_AFTER_S
    return sa.case((is_recent, ComputeNodeRow.failed_builds), else_=0)
