"""Who may hold something in Placement: what the API database and a cell's say of consumers' UUIDs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import ApiWorkflowRow, InstanceMappingRow
from nova_lite.db.cell_tables import CellWorkflowRow, ComputeNodeRow, InstanceRow, MigrationRow
from nova_lite.db.repositories import evacuations
from nova_lite.model.flavor import Flavor, rootless
from nova_lite.model.migration import OVER
from nova_lite.model.workflow import OPEN


def mapped(session: Session, uuids: Sequence[str]) -> dict[str, str | None]:
    """Return instance UUID → cell UUID (None: no cell yet) of those of ``uuids`` that the API database knows."""
    rows = session.execute(
        sa.select(InstanceMappingRow.instance_uuid, InstanceMappingRow.cell_uuid).where(
            InstanceMappingRow.instance_uuid.in_(uuids)
        )
    )
    return dict(rows.all())


def at_work(session: Session, row: type[ApiWorkflowRow] | type[CellWorkflowRow], uuids: Sequence[str]) -> set[str]:
    """Return those of ``uuids`` that a workflow of this database is about and has not finished with."""
    return set(session.scalars(sa.select(row.subject).where(row.subject.in_(uuids), row.status.in_(OPEN))))


def living(session: Session, uuids: Sequence[str]) -> set[str]:
    """Return those of ``uuids`` that are live instances of this cell, or migrations that still hold something."""
    instances = sa.select(InstanceRow.uuid).where(InstanceRow.uuid.in_(uuids), InstanceRow.deleted.is_(False))
    holds = sa.or_(MigrationRow.status.not_in(OVER), evacuations.IS_LEFT)
    moving = sa.select(MigrationRow.uuid).where(MigrationRow.uuid.in_(uuids), holds)
    return set(session.scalars(sa.union_all(instances, moving)))


@dataclass(frozen=True, slots=True)
class Claimant:
    """What decides on the claim of a live instance that is on a host; ``row_id`` is where the next page begins.

    ``flavor`` is its flavor as far as a host must give it. ``busy_with`` is what is being done to it; ``has_node`` says
    whether the cell knows its compute node.
    """

    row_id: int
    uuid: str
    project_id: str
    user_id: str
    node: str
    flavor: Flavor
    image_properties: Mapping[str, str]
    busy_with: str | None
    has_node: bool


def page(session: Session, *, after: int, limit: int) -> list[Claimant]:
    """Return this cell's next ``limit`` live instances on hosts, behind row ``after``."""
    return _claimants(session, InstanceRow.id > after, limit=limit)


def one(session: Session, uuid: str) -> Claimant | None:
    """Return an instance, or None when it does not live here or is on no host."""
    found = _claimants(session, InstanceRow.uuid == uuid, limit=1)
    return found[0] if found else None


def _claimants(session: Session, condition: sa.ColumnElement[bool], *, limit: int) -> list[Claimant]:
    work = (
        sa.select(sa.func.min(CellWorkflowRow.kind))
        .where(CellWorkflowRow.subject == InstanceRow.uuid, CellWorkflowRow.status.in_(OPEN))
        .scalar_subquery()
    )
    rows = session.execute(
        sa.select(
            InstanceRow.id,
            InstanceRow.uuid,
            InstanceRow.project_id,
            InstanceRow.user_id,
            InstanceRow.node,
            InstanceRow.flavor,
            InstanceRow.image_properties,
            InstanceRow.volumes,
            sa.func.coalesce(InstanceRow.task_state, work),
            ComputeNodeRow.id,
        )
        .outerjoin(ComputeNodeRow, ComputeNodeRow.uuid == InstanceRow.node)
        .where(condition, InstanceRow.deleted.is_(False), InstanceRow.host.is_not(None))
        .order_by(InstanceRow.id)
        .limit(limit)
    )
    return [
        Claimant(
            row_id, uuid, project, user, node or "", claimed(flavor, volumes), properties, busy_with, number is not None
        )
        for row_id, uuid, project, user, node, flavor, properties, volumes, busy_with, number in rows
    ]


def claimed(flavor: Mapping[str, Any], volumes: Sequence[Mapping[str, Any]] | None) -> Flavor:
    """Return a stored flavor as far as a host must give it to an instance with these stored ``volumes``."""
    found = Flavor(**flavor)
    return rootless(found) if any(device.get("boot_index") == 0 for device in volumes or ()) else found
