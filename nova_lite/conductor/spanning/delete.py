"""Delete a server whose delete could not begin in its cell at once: it was being built, or its cell did not answer."""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.rpc.conductor import ConductorClient


def delete_in_cell(work: Work[SuperTools]) -> None:
    """Begin the delete in the server's cell; one that no host carries is deleted right here."""
    workflow = work.workflow
    cell = work.tools.cells.get(work.inputs["cell_uuid"])
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    begun = None
    with work.tools.database(cell).writer() as session:
        try:
            instance = instances.lock(session, work.subject)
        except errors.NotFound:
            return
        if instance.host is None:
            _delete_hostless(session, work.subject, requester)
        else:
            begun = operations.begin_delete(
                session, work.subject, requester, timeout_s=work.tools.conf.operation_timeout
            )
    if begun is not None:
        ConductorClient(cell.bus).wake(begun.uuid)


def free_leftovers(work: Work[SuperTools]) -> None:
    """Free what a server that no host carries may still hold in Placement; others are freed by their cell."""
    with work.tools.database(work.tools.cells.get(work.inputs["cell_uuid"])).reader() as session:
        try:
            host = instances.get(session, work.subject, with_deleted=True).host
        except errors.NotFound:
            host = None
    if host is None:
        work.tools.placement.release(work.subject)


DELETE_ANYWHERE = Definition(
    "delete",
    (
        Step("delete in cell", delete_in_cell, no_way_back=True),
        Step("free leftovers", free_leftovers, no_way_back=True),
    ),
)


def _delete_hostless(session: Session, uuid: str, requester: Requester) -> None:
    workflows.supersede(session, CellWorkflowRow, uuid)
    actions.begin(
        session,
        instance_uuid=uuid,
        action="delete",
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=operations.EVENTS["delete"],
    )
    instances.mark_deleted(session, uuid)
    actions.finish(session, instance_uuid=uuid, request_id=requester.request_id, error=None, host=None)
