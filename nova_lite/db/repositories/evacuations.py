"""Evacuations among a cell's migrations: those a host that comes back has to know of.

One that is ``done`` is over for its server, which lives elsewhere. What the server had on its old host is still there
and still claimed, by the migration's UUID, until the host has cleaned up; then it is ``completed``.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import InstanceRow, MigrationRow, ServiceRow
from nova_lite.db.columns import utcnow
from nova_lite.model.migration import DONE, OVER, MigrationKind
from nova_lite.storage import epoch_now

#: The status of one whose old host has nothing of its server any more.
_COMPLETED = "completed"
#: What makes a migration one whose old host has not cleaned up.
IS_LEFT = sa.and_(MigrationRow.kind == MigrationKind.EVACUATION, MigrationRow.status == DONE)


def left_on(session: Session, host: str) -> list[tuple[str, str]]:
    """Return migration and instance of what was evacuated from ``host``, which has not cleaned up yet."""
    rows = session.execute(
        sa.select(MigrationRow.uuid, MigrationRow.instance_uuid)
        .where(IS_LEFT, MigrationRow.source_host == host)
        .order_by(MigrationRow.id)
    )
    return [(uuid, instance_uuid) for uuid, instance_uuid in rows]


def left_by(session: Session, instance_uuid: str) -> list[str]:
    """Return an instance's evacuations whose old hosts have not cleaned up yet: each holds something in Placement."""
    return list(
        session.scalars(sa.select(MigrationRow.uuid).where(IS_LEFT, MigrationRow.instance_uuid == instance_uuid))
    )


def leaving(session: Session, host: str) -> list[str]:
    """Return the instances that are being evacuated from ``host`` and are another host's: their guests must be off.

    They may come back, should the evacuation fail, so their disks stay.
    """
    return list(
        session.scalars(
            sa.select(MigrationRow.instance_uuid)
            .join(InstanceRow, InstanceRow.uuid == MigrationRow.instance_uuid)
            .where(
                MigrationRow.source_host == host,
                MigrationRow.kind == MigrationKind.EVACUATION,
                MigrationRow.status.not_in(OVER),
                InstanceRow.deleted.is_(False),
                InstanceRow.host != host,
            )
        )
    )


def complete(session: Session, uuids: Sequence[str]) -> None:
    """Note that the old hosts of evacuations have nothing of their servers any more."""
    session.execute(
        sa.update(MigrationRow)
        .where(MigrationRow.uuid.in_(uuids), IS_LEFT)
        .values(status=_COMPLETED, updated_at=utcnow())
    )


def failed(session: Session, instance_uuid: str) -> int:
    """Return how many evacuations of an instance have failed."""
    count = session.scalar(
        sa.select(sa.func.count())
        .select_from(MigrationRow)
        .where(
            MigrationRow.instance_uuid == instance_uuid,
            MigrationRow.kind == MigrationKind.EVACUATION,
            MigrationRow.status.in_(("failed", "error", "cancelled")),
        )
    )
    return int(count or 0)


def is_heard(session: Session, host: str, *, within_s: float) -> bool:
    """Return whether the agent of ``host`` has reported lately, forced down or not."""
    found = sa.select(ServiceRow.id).where(
        ServiceRow.host == host, ServiceRow.binary == "nova-compute", ServiceRow.last_seen > epoch_now() - within_s
    )
    return session.scalar(found) is not None
