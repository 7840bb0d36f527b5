"""Setting servers' states by hand, which operators do when something hangs."""

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.move_beginnings import Beginnings
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.cells import resets
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.concurrency import comes_true
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.caller import Caller
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, retried

#: Seconds that a request waits for work that shows nothing of itself, for it has all but ended.
_ENDING_S = 5.0
#: States in which a server without a task is not at rest: it waits for what comes next.
_WAITING = (VmState.BUILDING, VmState.RESIZED)


class StateResetService:
    """Sets states: at once where that leaves nothing behind, else when what is done to the server has been ended.

    A server may be seen at rest a moment before the work on it has ended: that moment is waited for, so that who sets
    its state then sees it set.
    """

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, lookup: ServerLookup, bus: Bus) -> None:
        self._api_db = api_db
        self._lookup = lookup
        self._beginnings = Beginnings(conf, api_db, cells)
        self._bus = bus

    def reset(self, caller: Caller, uuid: str, vm_state: VmState) -> None:
        """Set the server's state; raises Conflict while it is being deleted, or is to be active on no host."""
        located = self._lookup.find(caller, uuid)
        caller.require(rules.RESET_STATE, **target(located.instance))
        cell = located.cell
        if cell is None:
            raise errors.Conflict(f"Instance {uuid} is not ready: it has no cell yet.")
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        is_at_rest = located.instance.task_state is None and located.instance.vm_state not in _WAITING
        if self._set_without_work(cell, uuid, vm_state, requester, patience_s=_ENDING_S if is_at_rest else 0.0):
            return
        workflow = Workflow.asked_by(caller, resets.RESET, uuid, {"cell_uuid": cell.cell.uuid, "state": vm_state})
        self._beginnings.record(workflow)

        def begin(session: Session) -> None:
            resets.begin(session, workflow)

        self._beginnings.begin_in_cell(workflow, cell, begin)
        ConductorClient(self._bus).wake(workflow.uuid)

    def _set_without_work(
        self, cell: OpenCell, uuid: str, vm_state: VmState, requester: Requester, *, patience_s: float
    ) -> bool:
        """Set the state as soon as nothing is in anybody's hands but the guest's power; False if more is until then."""

        def set_now() -> bool:
            return not self._is_at_work(uuid) and _set_at_once(cell, uuid, vm_state, requester)

        return comes_true(set_now, patience_s)

    def _is_at_work(self, uuid: str) -> bool:
        """Return whether anybody above the cells is at work on the server: it may just have claimed a host."""
        with self._api_db.reader() as session:
            return bool(workflows.subjects_at_work(session, ApiWorkflowRow, [uuid]))


@retried
def _set_at_once(cell: OpenCell, uuid: str, vm_state: VmState, requester: Requester) -> bool:
    with cell.db.writer() as session:
        return resets.set_at_once(session, uuid, vm_state, requester)
