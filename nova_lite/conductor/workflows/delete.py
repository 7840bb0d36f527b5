"""Delete a server in its cell. Deleting wins over all else."""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, end_in_error, host_is_down
from nova_lite.db.repositories import actions, instances


def destroy_guest(work: Work[CellTools]) -> Facts | None:
    """Remove the guest from its host; a host that is down does it itself when it comes back."""
    with work.tools.db.reader() as session:
        host = instances.get(session, work.subject, with_deleted=True).host
    if host is None:
        return None
    try:
        work.tools.agents.destroy(host, work.subject, timeout_s=max(1.0, work.seconds_left))
    except errors.Timeout:
        if not host_is_down(work.tools, host):
            raise
        return {"left_to_host": host}
    return None


def free_claim(work: Work[CellTools]) -> None:
    """Give back what the server has in Placement."""
    work.tools.placement.release(work.subject)


def mark_deleted(work: Work[CellTools], session: Session) -> None:
    """Turn the server into a deleted one."""
    host = instances.get(session, work.subject, with_deleted=True).host
    instances.mark_deleted(session, work.subject)
    actions.finish(session, instance_uuid=work.subject, request_id=work.workflow.request_id, error=None, host=host)


DELETE = Definition(
    "delete",
    (
        Step("destroy guest", destroy_guest),
        Step("free claim", free_claim, no_way_back=True),
        Record("mark deleted", mark_deleted, no_way_back=True),
    ),
    on_failure=Record("end in error", end_in_error),
)
