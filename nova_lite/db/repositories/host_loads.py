"""How many servers hosts have and how busy they are with disks: what changes with every boot.

Apart from ``hosts.py``, whose facts rarely change. What is busy is found through the cell's open workflows, so that it
costs what is under way, however many servers there are.
"""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.model.host import Load
from nova_lite.model.states import VmState
from nova_lite.model.workflow import OPEN

#: Tasks that keep disks busy, as they are called in the API.
_HEAVY = (
    "image_backup",
    "image_snapshot",
    "rebuilding",
    "rebuild_spawning",
    "rescuing",
    "resize_migrating",
    "resize_prep",
    "unshelving",
)
#: Hosts that a query names; where there are more, all are counted.
_MOST_NAMED = 500


def loads(session: Session, hosts: Collection[str], *, with_servers: bool) -> dict[str, Load]:
    """Return host → load, of those among ``hosts`` that have any; servers are counted only ``with_servers``."""
    busy = _busy(session)
    servers = _servers(session, hosts) if with_servers else {}
    return {host: Load(servers.get(host, 0), busy.get(host, 0)) for host in (busy.keys() | servers.keys()) & {*hosts}}


def _busy(session: Session) -> dict[str, int]:
    is_heavy = sa.or_(InstanceRow.vm_state == VmState.BUILDING, InstanceRow.task_state.in_(_HEAVY))
    rows = session.execute(
        sa.select(InstanceRow.host, sa.func.count(InstanceRow.uuid.distinct()))
        .join(CellWorkflowRow, CellWorkflowRow.subject == InstanceRow.uuid)
        .where(CellWorkflowRow.status.in_(OPEN), InstanceRow.deleted.is_(False), is_heavy)
        .group_by(InstanceRow.host)
    )
    return {host or "": count for host, count in rows}


def _servers(session: Session, hosts: Collection[str]) -> dict[str, int]:
    """Count by host, not by node: the index on hosts is all that is read."""
    counted = (
        sa.select(InstanceRow.host, sa.func.count()).where(InstanceRow.deleted.is_(False)).group_by(InstanceRow.host)
    )
    if len(hosts) <= _MOST_NAMED:
        counted = counted.where(InstanceRow.host.in_(hosts))
    return {host or "": count for host, count in session.execute(counted)}


def image_properties(session: Session) -> dict[str, dict[tuple[str, str], int]]:
    """Return host → property of an image and its value → how many servers there are made from such images.

    Properties are those that the newest server of each image took from it.
    """
    newest = (
        sa.select(sa.func.max(InstanceRow.id)).where(InstanceRow.deleted.is_(False)).group_by(InstanceRow.image_ref)
    )
    of_image = {
        image: [(key, str(value)) for key, value in properties.items()]
        for image, properties in session.execute(
            sa.select(InstanceRow.image_ref, InstanceRow.image_properties).where(InstanceRow.id.in_(newest))
        )
    }
    counts = session.execute(
        sa.select(InstanceRow.host, InstanceRow.image_ref, sa.func.count())
        .where(InstanceRow.deleted.is_(False))
        .group_by(InstanceRow.host, InstanceRow.image_ref)
    )
    found: dict[str, dict[tuple[str, str], int]] = {}
    for host, image, count in counts:
        of_host = found.setdefault(host or "", {})
        for pair in of_image.get(image, ()):
            of_host[pair] = of_host.get(pair, 0) + count
    return found
