"""Deleting servers, for good or so that they can be restored, and restoring them.

That a server goes, or comes back, is written down in the API database first, where servers are counted: from there on
it will. What follows in the server's cell is begun here at once, and by the super conductor should that fail.
"""

import logging
from collections.abc import Callable

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.boot_holdings import freeing
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.quotas import UNLIMITED, Limits, Quotas, how_many_fit, used_by_servers
from nova_lite.api.services.server_lookup import Located, ServerLookup, not_found, refuse_if_locked, target
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import build_requests, mappings, quotas, workflows
from nova_lite.model import states
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)


class ServerDeletionService:
    """Deletes and restores servers."""

    def __init__(
        self, conf: cfg.ConfigOpts, api_db: Database, lookup: ServerLookup, api_bus: Bus, notices: Notices
    ) -> None:
        self._notices = notices
        self._conf = conf
        self._api_db = api_db
        self._lookup = lookup
        self._quotas = Quotas(conf)
        self._api_bus = api_bus

    def delete(self, caller: Caller, uuid: str) -> None:
        """Begin deleting the server; where deleted servers can be restored for a while, so can this one."""
        located = self._find(caller, uuid, rules.DELETE)
        instance = located.instance
        if self._conf.reclaim_instance_interval == 0:
            self._delete_for_good(caller, located)
        elif _is_deleted_already(instance):
            return
        elif _can_come_back(located):
            self._begin(caller, located, "delete-softly")
        else:
            self._delete_for_good(caller, located)

    def force_delete(self, caller: Caller, uuid: str) -> None:
        """Begin deleting the server for good, in whatever state it is."""
        self._delete_for_good(caller, self._find(caller, uuid, rules.FORCE_DELETE))

    def restore(self, caller: Caller, uuid: str) -> None:
        """Begin restoring a soft-deleted server.

        Raises OverQuota when its project has no room for it any more, Conflict when it is not deleted softly, or is
        being restored already.
        """
        located = self._find(caller, uuid, rules.RESTORE)
        operations.refuse_if_wrong_state(located.instance, "restore")

        def count_again(session: Session) -> None:
            self._refuse_if_over_quota(session, located.instance)
            if not mappings.take_back(session, uuid):
                raise errors.Conflict(f"Instance {uuid} is being restored already.")

        # Begun by the super conductor alone, which sees whether the server was deleted again meanwhile.
        self._wake(self._record(caller, located, "restore", count_again))

    def _find(self, caller: Caller, uuid: str, rule: str) -> Located:
        located = self._lookup.find(caller, uuid)
        caller.require(rule, **target(located.instance))
        refuse_if_locked(caller, located.instance)
        return located

    def _delete_for_good(self, caller: Caller, located: Located) -> None:
        """Begin deleting the server; one that has no cell yet is gone at once."""
        uuid = located.instance.uuid
        if located.cell is None:
            if self._drop_waiting(caller, located.instance):
                return
            located = self._lookup.find(caller, uuid)
            if located.cell is None:
                raise not_found(uuid)
        if located.is_queued_for_delete and located.instance.task_state is TaskState.DELETING:
            return
        self._begin(caller, located, "delete")

    def _begin(self, caller: Caller, located: Located, kind: str) -> None:
        """Stop counting the server, and begin to delete it."""
        uuid = located.instance.uuid
        workflow = self._record(caller, located, kind, lambda session: _queue(session, uuid))
        leaves_something = located.instance.host is not None or located.instance.shelved_image is not None
        if located.cell is not None and leaves_something and not located.cell.cell.is_cell0:
            self._begin_in_cell(located.cell, workflow)
        self._wake(workflow)

    def _begin_in_cell(self, cell: OpenCell, workflow: Workflow) -> None:
        """Begin in the cell what the workflow would begin a moment later, so that the server shows it at once."""
        try:
            begun = _begin_in_cell(cell, workflow, timeout_s=self._conf.operation_timeout)
        except errors.Unavailable as exc:
            LOG.warning(
                "The cell did not take the %s of %s; its workflow will: %s", workflow.kind, workflow.subject, exc
            )
            return
        if begun is not None:
            ConductorClient(cell.bus).wake(begun.uuid)

    def _wake(self, workflow: Workflow) -> None:
        ConductorClient(self._api_bus).wake(workflow.uuid)

    def _drop_waiting(self, caller: Caller, instance: Instance) -> bool:
        """Take back a server without a cell; whoever schedules it notices. False when it has a cell now."""
        workflow = freeing(caller, [(instance.uuid, instance.volumes)]) if instance.volumes else None
        if not self._dropped(instance, workflow):
            return False
        self._notices.dropped(caller, instance)
        if workflow is not None:
            self._wake(workflow)
        return True

    @retried
    def _dropped(self, instance: Instance, workflow: Workflow | None) -> bool:
        uuid = instance.uuid
        with self._api_db.writer() as session:
            if not build_requests.drop(session, uuid):
                return False
            _queue(session, uuid)
            if instance.vm_state is VmState.ERROR:
                # Its build is over, and nobody else would forget it.
                mappings.remove_instances(session, [uuid])
            if workflow is not None:
                workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)
            return True

    @retried
    def _record(self, caller: Caller, located: Located, kind: str, count: Callable[[Session], None]) -> Workflow:
        """Write down in the API database what is to become of the server, and whether it counts."""
        uuid = located.instance.uuid
        if located.cell is None:
            raise errors.Conflict(f"Instance {uuid} is not ready: it has no cell yet.")
        workflow = Workflow.asked_by(caller, kind, uuid, {"instance_uuid": uuid, "cell_uuid": located.cell.cell.uuid})
        with self._api_db.writer() as session:
            count(session)
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)
        return workflow

    def _refuse_if_over_quota(self, session: Session, instance: Instance) -> None:
        """Raise OverQuota unless the server's project and user may have it; holds the project's lock."""
        project_id, user_id = instance.project_id, instance.user_id
        quotas.lock(session, project_id)
        allowance = self._quotas.allowance(session, project_id, user_id)
        needs = {"instances": 1, "cores": instance.flavor.vcpus, "ram": instance.flavor.ram_mib}
        counts = [
            Limits(limits, used_by_servers(session, project_id, whose))
            for limits, whose in ((allowance.project, None), (allowance.user, user_id))
            if any(limits.get(resource, UNLIMITED) >= 0 for resource in needs)
        ]
        how_many_fit(counts, needs, least=1, most=1)


def _queue(session: Session, uuid: str) -> None:
    """Stop counting a server; raises Conflict when it is protected."""
    if not mappings.queue_unless_protected(session, uuid):
        raise errors.Conflict(
            f"Instance {uuid} is protected from being deleted. Take that away first: "
            f"PUT /servers/{uuid}/deletion-protection with false."
        )


def _is_deleted_already(instance: Instance) -> bool:
    at_rest = (instance.vm_state, instance.task_state) == (VmState.SOFT_DELETED, None)
    return at_rest or instance.task_state is TaskState.SOFT_DELETING


def _can_come_back(located: Located) -> bool:
    """Return whether the server may be deleted so that it can be restored: it was up once, nothing else holds it."""
    instance = located.instance
    if located.cell is None or instance.host is None or instance.launched_at is None:
        return False
    return states.refusal("delete-softly", instance.vm_state, instance.task_state) is None


@retried
def _begin_in_cell(cell: OpenCell, workflow: Workflow, *, timeout_s: float) -> Workflow | None:
    begin = operations.begin_delete if workflow.kind == "delete" else operations.begin_soft_delete
    requester = Requester(workflow.user_id, workflow.project_id, workflow.request_id)
    with cell.db.writer() as session:
        return begin(session, workflow.subject, requester, timeout_s=timeout_s)
