"""Instances that a cell holds and the API database does not know: found in the one, mapped in the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.db.cell_tables import InstanceRow


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """What a mapping says of an instance; ``row_id`` is where the next page begins."""

    row_id: int
    uuid: str
    project_id: str
    user_id: str
    vcpus: int
    ram_mib: int


def page(session: Session, *, after: int, limit: int) -> list[FoundInstance]:
    """Return the cell's next ``limit`` live instances behind row ``after``."""
    rows = session.execute(
        sa.select(
            InstanceRow.id,
            InstanceRow.uuid,
            InstanceRow.project_id,
            InstanceRow.user_id,
            InstanceRow.vcpus,
            InstanceRow.memory_mb,
        )
        .where(InstanceRow.id > after, InstanceRow.deleted.is_(False))
        .order_by(InstanceRow.id)
        .limit(limit)
    )
    return [FoundInstance(*row) for row in rows]


def add_missing(session: Session, cell_uuid: str, found: Sequence[FoundInstance]) -> int:
    """Map those of ``found`` that have no mapping to the cell they were found in; return how many that were."""
    uuids = [one.uuid for one in found]
    statement = sa.select(InstanceMappingRow.instance_uuid).where(InstanceMappingRow.instance_uuid.in_(uuids))
    known = set(session.scalars(statement))
    missing = [one for one in found if one.uuid not in known]
    session.add_all(
        InstanceMappingRow(
            instance_uuid=one.uuid,
            cell_uuid=cell_uuid,
            project_id=one.project_id,
            user_id=one.user_id,
            vcpus=one.vcpus,
            ram_mib=one.ram_mib,
        )
        for one in missing
    )
    session.flush()
    return len(missing)
