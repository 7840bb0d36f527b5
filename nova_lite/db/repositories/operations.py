"""What is known of the operations on one server: its workflows without their inputs, and what its cell says of them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import InstanceActionEventRow, InstanceActionRow, InstanceRow, MigrationRow
from nova_lite.db.repositories.workflows import Row
from nova_lite.model.migration import Progress
from nova_lite.model.operation import Part
from nova_lite.model.workflow import Status


@dataclass(frozen=True, slots=True)
class Known:
    """What a cell knows of a request about a server: the action's name, and the host it concerns."""

    action: str
    host: str | None


def about(session: Session, row: Row, subject: str) -> list[Part]:
    """Return every workflow about ``subject``."""
    columns = (
        *(row.uuid, row.kind, row.request_id, row.user_id, row.project_id, row.status, row.step, row.attempt),
        *(row.reason, row.deadline, row.created_at, row.updated_at),
    )
    return [_part(found) for found in session.execute(sa.select(*columns).where(row.subject == subject))]


def known(session: Session, instance_uuid: str, request_ids: Collection[str]) -> dict[str, Known]:
    """Return request → what the cell knows of it; work under way concerns the host where the server is."""
    action, event = InstanceActionRow, InstanceActionEventRow
    rows = session.execute(
        sa.select(action.request_id, action.action, action.finish_time, event.host, InstanceRow.host)
        .outerjoin(event, event.action_id == action.id)
        .outerjoin(InstanceRow, InstanceRow.uuid == action.instance_uuid)
        .where(action.instance_uuid == instance_uuid, action.request_id.in_(request_ids))
        .order_by(action.id, event.id)
    )
    return {
        request_id: Known(name, host or (here if finish_time is None else None))
        for request_id, name, finish_time, host, here in rows
    }


def moved(session: Session, uuids: Collection[str]) -> dict[str, tuple[str | None, Progress]]:
    """Return migration → the host it leads to and how much of the guest's data is there."""
    if not uuids:
        return {}
    rows = session.scalars(sa.select(MigrationRow).where(MigrationRow.uuid.in_(uuids)))
    return {row.uuid: (row.dest_host, _progress(row)) for row in rows}


def _progress(row: MigrationRow) -> Progress:
    return Progress(
        memory_total=row.memory_total,
        memory_processed=row.memory_processed,
        memory_remaining=row.memory_remaining,
        disk_total=row.disk_total,
        disk_processed=row.disk_processed,
        disk_remaining=row.disk_remaining,
    )


def _part(found: Any) -> Part:
    return Part(**{**found._mapping, "status": Status(found.status)})
