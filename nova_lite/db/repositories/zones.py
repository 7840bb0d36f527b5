"""Availability zones: aggregates that carry ``availability_zone`` in their metadata; in the API database."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow
from nova_lite.storage import Handle

#: Made once, for lists of services and of servers run it.
_METADATA = sa.select(AggregateHostRow.host, AggregateRow.extra).join(
    AggregateRow, AggregateRow.id == AggregateHostRow.aggregate_id
)


def of_hosts(handle: Handle) -> dict[str, str]:
    """Return host → availability zone, for hosts that are in one."""
    found = {host: zone_of(each) for host, each in metadata_of_hosts(handle).items()}
    return {host: zone for host, zone in found.items() if zone is not None}


def metadata_of_hosts(handle: Handle) -> dict[str, list[dict[str, str]]]:
    """Return host → the metadata of each aggregate it is in, for hosts that are in one."""
    found: dict[str, list[dict[str, str]]] = {}
    for host, extra in handle.execute(_METADATA):
        found.setdefault(host, []).append(extra)
    return found


def zone_of(metadata: Iterable[Mapping[str, str]]) -> str | None:
    """Return the zone that the metadata of a host's aggregates put it into."""
    return next((each["availability_zone"] for each in metadata if "availability_zone" in each), None)


def aggregates(session: Session) -> list[tuple[str, str, dict[str, str]]]:
    """Return UUID, name and metadata of every aggregate."""
    columns = AggregateRow.uuid, AggregateRow.name, AggregateRow.extra
    return [(uuid, name, extra) for uuid, name, extra in session.execute(sa.select(*columns).order_by(AggregateRow.id))]
