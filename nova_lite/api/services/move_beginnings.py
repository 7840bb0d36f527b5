"""How a move begins: written down in the API database first, then begun in the server's cell, which decides.

What the cell refuses is withdrawn, unless a conductor has begun it meanwhile. See ``docs/decisions/0012-moves.rst``.
"""

from collections.abc import Callable

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.services.server_lookup import Located, refuse_if_locked, target
from nova_lite.cells import accounting, moves
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Workflow
from nova_lite.storage import Database, retried


class Beginnings:
    """Records workflows of moves and begins them in cells."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells

    @retried
    def record(self, workflow: Workflow) -> None:
        """Write a workflow down."""
        with self._api_db.writer() as session:
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)

    def begin_in_cell(self, workflow: Workflow, cell: OpenCell, begin: Callable[[Session], str | None]) -> str | None:
        """Begin in the cell what the workflow would begin a moment later; what the cell refuses never was.

        Return what ``begin`` returns: the UUID of the cell's workflow, if it wrote one down; None, too, when that is
        left to a conductor. Raises Conflict and NotFound as ``begin`` does, once ``workflow`` is taken back.
        """
        try:
            return _written(cell, begin)
        except (errors.Conflict, errors.NotFound):
            if not self._withdraw(workflow):
                return None  # a conductor has begun it all the same, in a better moment
            accounting.settle(self._api_db, cell.db, workflow.subject, workflow.uuid)
            raise
        except errors.Unavailable:
            return None

    @retried
    def _withdraw(self, workflow: Workflow) -> bool:
        with self._api_db.writer() as session:
            return workflows.withdraw(session, ApiWorkflowRow, workflow.uuid)

    def refuse_bad_host(self, instance: Instance, cell: OpenCell, host: str) -> None:
        """Raise Invalid for a host that is not of the server's cell."""
        cell_uuid = self._cells.of_hosts().get(host)
        if cell_uuid is None:
            raise errors.Invalid(f"Compute host {host} could not be found.")
        if cell_uuid != cell.cell.uuid:
            raise errors.Invalid(f"Host {host} is in another cell than server {instance.uuid}, which cannot leave its.")


def movable_in(caller: Caller, located: Located, rule: str, kind: str, shown: str) -> OpenCell:
    """Return the server's cell; raises what policy, lock or state have against ``kind``."""
    instance = located.instance
    caller.require(rule, **target(instance))
    refuse_if_locked(caller, instance)
    moves.refuse_if_wrong_state(instance, kind, shown)
    if located.cell is None or instance.host is None or instance.node is None:
        raise errors.Conflict(f"Instance {instance.uuid} is not ready: it has no host.")
    return located.cell


@retried
def _written(cell: OpenCell, begin: Callable[[Session], str | None]) -> str | None:
    with cell.db.writer() as session:
        return begin(session)
