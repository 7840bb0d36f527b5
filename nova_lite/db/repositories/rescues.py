"""Servers that have been booted from rescue disks for long."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import InstanceActionRow, InstanceRow
from nova_lite.model.states import VmState


def overdue(session: Session, *, before: datetime, limit: int) -> Sequence[str]:
    """Return rescued servers at rest whose last rescue ended ``before``, those made first in front."""
    rescued_since = sa.exists().where(
        InstanceActionRow.instance_uuid == InstanceRow.uuid,
        InstanceActionRow.action == "rescue",
        sa.or_(InstanceActionRow.finish_time.is_(None), InstanceActionRow.finish_time >= before),
    )
    return session.scalars(
        sa.select(InstanceRow.uuid)
        .where(
            InstanceRow.deleted.is_(False),
            InstanceRow.vm_state == VmState.RESCUED,
            InstanceRow.task_state.is_(None),
            ~rescued_since,
        )
        .order_by(InstanceRow.id)
        .limit(limit)
    ).all()
