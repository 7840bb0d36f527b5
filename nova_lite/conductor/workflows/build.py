"""Build a server on the host that was chosen and claimed for it, inside its cell."""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, end_in_error, end_well, host_is_down
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances
from nova_lite.model.guest import PowerState
from nova_lite.model.states import ACTIONS
from nova_lite.storage import retried


def spawn_guest(work: Work[CellTools]) -> Facts:
    """Have the host make and start the guest."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    if instance.host is None:
        raise errors.NovaLiteError("A server being built has no host.", instance=work.subject)
    try:
        power_state = work.tools.agents.build(instance, timeout_s=max(1.0, work.seconds_left))
    except errors.Timeout as exc:
        if host_is_down(work.tools, instance.host):
            raise errors.HostFailed("The host that was to start the server does not answer.") from exc
        raise
    return {"power_state": int(power_state)}


def destroy_guest(work: Work[CellTools]) -> None:
    """Remove what there is of the guest, then give back what the scheduler claimed for it.

    The epoch is raised first, so that a build message still on its way finds the door shut. A host that is down
    removes the guest itself when it comes back.
    """
    host = _fence_off(work)
    if host is not None:
        try:
            work.tools.agents.destroy(host, work.subject, timeout_s=30.0)
        except errors.Timeout:
            if not host_is_down(work.tools, host):
                raise
    work.tools.placement.release(work.subject)


@retried
def _fence_off(work: Work[CellTools]) -> str | None:
    """Let nobody build the server any more; return its host."""
    with work.tools.db.writer() as session:
        instance = instances.lock(session, work.subject)
        instances.change(session, work.subject, expect_task=ACTIONS["create"].while_busy, epoch=instance.epoch + 1)
    return instance.host


def mark_active(work: Work[CellTools], session: Session) -> None:
    """Turn the server into a running one."""
    end_well(work, session, launched_at=utcnow())


def give_up(work: Work[CellTools], session: Session) -> None:
    """Leave the server in ERROR, on no host."""
    end_in_error(work, session, host=None, node=None, node_name=None, power_state=PowerState.NOSTATE)


BUILD = Definition(
    "create",
    (
        Step("spawn guest", spawn_guest, undo=destroy_guest),
        Record("mark active", mark_active, no_way_back=True),
    ),
    on_failure=Record("give up", give_up),
)
