"""Availability zones: aggregates that carry ``availability_zone`` in their metadata; in the API database."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow


def of_hosts(session: Session) -> dict[str, str]:
    """Return host → availability zone, for hosts that are in one."""
    rows = session.execute(
        sa.select(AggregateHostRow.host, AggregateRow.extra).join(
            AggregateRow, AggregateRow.id == AggregateHostRow.aggregate_id
        )
    )
    return {host: extra["availability_zone"] for host, extra in rows if "availability_zone" in extra}


def aggregates_of(session: Session, zone: str) -> set[str]:
    """Return the UUIDs of the aggregates that make up a zone."""
    rows = session.execute(sa.select(AggregateRow.uuid, AggregateRow.extra))
    return {uuid for uuid, extra in rows if extra.get("availability_zone") == zone}
