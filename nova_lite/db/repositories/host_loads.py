"""How many servers hypervisors have and how busy they are with disks: what changes with every boot.

Apart from ``hosts.py``, whose facts rarely change. What is busy is found through the cell's open workflows, so that it
costs what is under way, however many servers there are.
"""

from collections.abc import Mapping

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


def loads(session: Session, *, with_servers: bool) -> dict[str, Load]:
    """Return compute node UUID → load, for those that have any; servers are counted only ``with_servers``."""
    busy = _busy(session)
    servers = _servers(session) if with_servers else {}
    return {node: Load(servers.get(node, 0), busy.get(node, 0)) for node in busy.keys() | servers.keys()}


def _busy(session: Session) -> Mapping[str, int]:
    is_heavy = sa.or_(InstanceRow.vm_state == VmState.BUILDING, InstanceRow.task_state.in_(_HEAVY))
    rows = session.execute(
        sa.select(InstanceRow.node, sa.func.count(InstanceRow.uuid.distinct()))
        .join(CellWorkflowRow, CellWorkflowRow.subject == InstanceRow.uuid)
        .where(CellWorkflowRow.status.in_(OPEN), InstanceRow.deleted.is_(False), is_heavy)
        .group_by(InstanceRow.node)
    )
    return {node: count for node, count in rows if node}


def _servers(session: Session) -> Mapping[str, int]:
    rows = session.execute(
        sa.select(InstanceRow.node, sa.func.count())
        .where(InstanceRow.deleted.is_(False), InstanceRow.node.is_not(None))
        .group_by(InstanceRow.node)
    )
    return {node: count for node, count in rows if node}


def image_properties(session: Session) -> dict[str, dict[tuple[str, str], int]]:
    """Return compute node UUID → property of an image and its value → how many servers there are made from such images.

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
        sa.select(InstanceRow.node, InstanceRow.image_ref, sa.func.count())
        .where(InstanceRow.deleted.is_(False), InstanceRow.node.is_not(None))
        .group_by(InstanceRow.node, InstanceRow.image_ref)
    )
    found: dict[str, dict[tuple[str, str], int]] = {}
    for node, image, count in counts:
        of_node = found.setdefault(node, {})
        for pair in of_image.get(image, ()):
            of_node[pair] = of_node.get(pair, 0) + count
    return found
