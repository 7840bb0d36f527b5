"""Make a server's guest anew where it is, from its image or another one, inside its cell.

Whether the host suits another image was found out above the cell. The image is on the host before the guest is touched,
so that what most often fails leaves the server as it was. Then the row is changed with a raised epoch, which is the end
of the old disks: a guest of an older epoch must go, whoever finds it. What fails after that leaves the server in ERROR.
"""

from typing import Any

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.cells.rebuilds import REBUILD, Rebuild
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, hosted
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances
from nova_lite.model import block_device
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault
from nova_lite.model.states import TaskState, VmState


def fetch_image(work: Work[CellTools]) -> None:
    """Have the image on the server's host, unless it boots from a volume."""
    refuse_to_preserve(work)
    instance, host = hosted(work)
    if block_device.root_of(instance.volumes) is None:
        work.tools.agents.cache_image(host, wanted(work).image_id, timeout_s=max(1.0, work.seconds_left))


def refuse_to_preserve(work: Work[CellTools]) -> None:
    """Raise GuestFailed when disks are to stay that no driver keeps."""
    if wanted(work).preserves_ephemeral:
        raise errors.GuestFailed("The current driver does not support preserving ephemeral partitions.")


def change_server(work: Work[CellTools], session: Session) -> Facts:
    """Make the server what it is to be; from here on its old disks are worth nothing."""
    become(work, session, task_state=TaskState.REBUILD_SPAWNING)
    tell_host_begins(work, session)
    return {"is_changed": True}


def become(work: Work[CellTools], session: Session, **values: Any) -> None:
    """Make the server what it is to be, with more ``values``, and its guest one of an older epoch."""
    instance, rebuild = instances.lock(session, work.subject), wanted(work)
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.REBUILDING,
        epoch=instance.epoch + 1,
        image_ref=rebuild.image_id,
        image_properties=rebuild.image_properties,
        **rebuild.columns,
        **values,
    )


def tell_host_begins(work: Work[CellTools], session: Session) -> None:
    """Note in the server's action that its host has its turn."""
    actions.next_event(
        session,
        instance_uuid=work.subject,
        request_id=work.workflow.request_id,
        event="compute_rebuild_instance",
        host=instances.hold(session, work.subject).host,
    )


def remake_guest(work: Work[CellTools]) -> Facts:
    """Have the guest made anew, running unless the server is stopped."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    power_state = work.tools.agents.rebuild(
        instance, start=not _was_stopped(work), timeout_s=max(1.0, work.seconds_left)
    )
    return {"power_state": int(power_state)}


def mark_rebuilt(work: Work[CellTools], session: Session) -> None:
    """Turn the server into one at rest: stopped if it was, else running."""
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.REBUILD_SPAWNING,
        vm_state=VmState.STOPPED if _was_stopped(work) else VmState.ACTIVE,
        task_state=None,
        power_state=PowerState(work.facts["power_state"]),
        launched_at=utcnow(),
        fault=None,
    )
    _finish(work, session, None)


def end_unmade(work: Work[CellTools], session: Session) -> None:
    """Leave the server what it was, or in ERROR when its disks may be gone."""
    reason = work.reason or "An internal error happened."
    if work.facts.get("is_changed"):
        instances.set_fault(
            session, work.subject, Fault(500, reason, utcnow()), vm_state=VmState.ERROR, task_state=None
        )
    else:
        instances.change(session, work.subject, task_state=None)
    _finish(work, session, reason)


IN_CELL = Definition(
    REBUILD,
    (
        Step("fetch image", fetch_image),
        Record("change server", change_server),
        Step("remake guest", remake_guest),
        Record("mark rebuilt", mark_rebuilt, no_way_back=True),
    ),
    on_failure=Record("end", end_unmade),
    behind=volumes.KINDS,
)


def wanted(work: Work[CellTools]) -> Rebuild:
    """Return what the server is to be."""
    return msgspec.convert(work.inputs["rebuild"], Rebuild)


def _was_stopped(work: Work[CellTools]) -> bool:
    return bool(work.inputs["vm_state"] == VmState.STOPPED)


def _finish(work: Work[CellTools], session: Session, error: str | None) -> None:
    host = instances.get(session, work.subject).host
    actions.finish_work(session, work.workflow, error=error, host=host)
