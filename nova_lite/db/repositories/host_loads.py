"""How many servers hosts have and how busy they are with disks: what changes with every boot.

Apart from ``hosts.py``, whose facts rarely change. What is busy is found through the cell's open workflows, so that it
costs what is under way, however many servers there are.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.model.host import Load
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import OPEN
from nova_lite.storage import Handle

#: Tasks that keep disks busy.
_HEAVY = frozenset(
    {
        TaskState.REBUILDING,
        TaskState.REBUILD_SPAWNING,
        TaskState.RESCUING,
        TaskState.IMAGE_BACKUP,
        TaskState.IMAGE_SNAPSHOT,
        TaskState.RESIZE_MIGRATING,
        TaskState.RESIZE_PREP,
        TaskState.UNSHELVING,
    }
)
#: Servers, or hosts, that one query names.
_MOST_NAMED = 500
#: Made once, for each decision runs them.
_SOME: sa.BindParameter[Sequence[str]] = sa.bindparam("some", expanding=True)
_AT_WORK = sa.select(CellWorkflowRow.subject).where(CellWorkflowRow.status.in_(OPEN))
_AMONG = sa.select(InstanceRow.host, InstanceRow.deleted, InstanceRow.vm_state, InstanceRow.task_state).where(
    InstanceRow.uuid.in_(_SOME)
)
_COUNTED_ON = (
    sa.select(InstanceRow.host, sa.func.count())
    .where(InstanceRow.host.in_(_SOME), InstanceRow.deleted.is_(False))
    .group_by(InstanceRow.host)
)


def loads(handle: Handle, hosts: Collection[str], *, with_servers: bool) -> dict[str, Load]:
    """Return host → load, of those among ``hosts`` that have any; servers are counted only ``with_servers``."""
    busy = _busy(handle)
    servers = _servers(handle, hosts) if with_servers else {}
    return {host: Load(servers.get(host, 0), busy[host]) for host in hosts if host in busy or host in servers}


def _busy(handle: Handle) -> Counter[str | None]:
    """Look for what is under way, then by name for its servers: asked for more at once, a database reads them all."""
    subjects = set(handle.execute(_AT_WORK).scalars().all())
    found: Counter[str | None] = Counter()
    for some in _in_parts(subjects):
        for host, is_deleted, vm_state, task_state in handle.execute(_AMONG, {"some": some}).all():
            if not is_deleted and (vm_state == VmState.BUILDING or task_state in _HEAVY):
                found[host] += 1
    return found


def _servers(handle: Handle, hosts: Collection[str]) -> dict[str | None, int]:
    """Count by host, not by node, and name the hosts: the index on hosts is all that is read then."""
    found: dict[str | None, int] = {}
    for some in _in_parts(hosts):
        found.update((host, count) for host, count in handle.execute(_COUNTED_ON, {"some": some}).all())
    return found


def _in_parts(names: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(names)
    for start in range(0, len(ordered), _MOST_NAMED):
        yield ordered[start : start + _MOST_NAMED]


def image_properties(handle: Handle) -> dict[str, dict[tuple[str, str], int]]:
    """Return host → property of an image and its value → how many servers there are made from such images.

    Properties are those that the newest server of each image took from it.
    """
    newest = (
        sa.select(sa.func.max(InstanceRow.id)).where(InstanceRow.deleted.is_(False)).group_by(InstanceRow.image_ref)
    )
    of_image = {
        image: [(key, str(value)) for key, value in properties.items()]
        for image, properties in handle.execute(
            sa.select(InstanceRow.image_ref, InstanceRow.image_properties).where(InstanceRow.id.in_(newest))
        )
    }
    counts = handle.execute(
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
