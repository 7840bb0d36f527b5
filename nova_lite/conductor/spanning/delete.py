"""Delete a server, or restore it, where that could not begin in its cell at once.

It was being built, or its cell did not answer. Whether it counts for its project's quota was decided when the request
was accepted, and is decided again should the cell refuse.
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.conductor import volume_claims
from nova_lite.conductor.saga import Definition, Record, Step, Work
from nova_lite.conductor.spanning.cell_part import cell_of
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, mappings, workflows
from nova_lite.model.states import VmState
from nova_lite.model.workflow import OPEN, Workflow
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database


def delete_in_cell(work: Work[SuperTools]) -> None:
    """Begin the delete in the server's cell; one that no host carries is deleted right here."""
    workflow = work.workflow
    cell = cell_of(work)
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    begun = None
    with work.tools.database(cell).writer() as session:
        try:
            instance = instances.lock(session, work.subject)
        except errors.NotFound:
            return
        if instance.host is None and instance.shelved_image is None:
            _delete_hostless(session, work.subject, requester)
        else:
            begun = operations.begin_delete(
                session, work.subject, requester, timeout_s=work.tools.conf.operation_timeout
            )
    if begun is not None:
        ConductorClient(cell.bus).wake(begun.uuid)


def free_leftovers(work: Work[SuperTools]) -> None:
    """Free what a server that no host carries may still hold; what others have is freed by their cell."""
    with work.tools.database(cell_of(work)).reader() as session:
        try:
            instance = instances.get(session, work.subject, with_deleted=True)
        except errors.NotFound:
            instance = None
    if instance is None or instance.host is None:
        work.tools.placement.release(work.subject)
    if instance is not None and instance.host is None and instance.is_deleted:
        volume_claims.free(work.tools.volumes, instance)


DELETE_ANYWHERE = Definition(
    "delete",
    (
        Step("delete in cell", delete_in_cell, no_way_back=True),
        Step("free leftovers", free_leftovers, no_way_back=True),
    ),
)


def soft_delete_in_cell(work: Work[SuperTools]) -> None:
    """Begin the delete in the server's cell."""
    _begin_in_cell(work, work.tools.database(cell_of(work)), operations.begin_soft_delete)


def restore_in_cell(work: Work[SuperTools]) -> None:
    """Begin to restore the server in its cell; raises NotFound or Conflict when it was deleted again meanwhile.

    Who deletes it must wait until it has begun, and then finds it so.
    """
    database = work.tools.database(cell_of(work))
    with work.tools.api_db.writer() as session:
        if not mappings.is_counted(session, work.subject):
            raise errors.Conflict(f"Instance {work.subject} was deleted again.")
        _begin_in_cell(work, database, operations.begin_restore)


def uncount(work: Work[SuperTools], session: Session) -> None:
    """Count a server no more that could not be restored, unless its cell has begun to."""
    with work.tools.database(cell_of(work)).reader() as cell_session:
        if not actions.is_known(cell_session, work.subject, work.workflow.request_id, "restore"):
            mappings.queue_for_delete(session, work.subject)


def await_restored(work: Work[SuperTools]) -> None:
    """Wait until the cell has done its part, however that went."""
    with work.tools.database(cell_of(work)).reader() as session:
        known = workflows.about(session, CellWorkflowRow, work.subject)
    if any(each.kind == "restore" and each.status in OPEN for each in known):
        raise errors.NotYet("The cell is still at work.")


def count_no_more(work: Work[SuperTools], session: Session) -> None:
    """Count a server no more that its cell could not restore: it is as deleted as before."""
    with work.tools.database(cell_of(work)).reader() as cell_session:
        try:
            instance = instances.get(cell_session, work.subject)
        except errors.NotFound:
            return
    if instance.vm_state is VmState.SOFT_DELETED:
        mappings.queue_for_delete(session, work.subject)


SOFT_DELETE_ANYWHERE = Definition("delete-softly", (Step("delete in cell", soft_delete_in_cell, no_way_back=True),))

RESTORE_ANYWHERE = Definition(
    "restore",
    (
        Step("restore in cell", restore_in_cell),
        Step("await cell", await_restored, no_way_back=True),
        Record("account", count_no_more, no_way_back=True),
    ),
    on_failure=Record("count no more", uncount),
)


def _begin_in_cell(work: Work[SuperTools], database: Database, begin: Callable[..., Workflow | None]) -> None:
    workflow = work.workflow
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    with database.writer() as session:
        begun = begin(session, work.subject, requester, timeout_s=work.tools.conf.operation_timeout)
    if begun is not None:
        ConductorClient(cell_of(work).bus).wake(begun.uuid)


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
