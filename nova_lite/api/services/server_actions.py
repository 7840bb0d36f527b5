"""What can be done to a server that a host carries: power, reboot, pause; its console log."""

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.server_lookup import Located, ServerLookup, refuse_if_locked, target
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.model.caller import Caller
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.compute import ComputeClient
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried


class ServerActionService:
    """Begins actions; a conductor of the server's cell carries them out."""

    def __init__(self, conf: cfg.ConfigOpts, lookup: ServerLookup) -> None:
        self._conf = conf
        self._lookup = lookup

    def console_output(self, caller: Caller, uuid: str, lines: int | None) -> str:
        """Return the end of the server's console log: ``lines`` of it, or what there is."""
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.CONSOLE_OUTPUT, **target(instance))
        if located.cell is None or instance.host is None or instance.launched_at is None:
            raise errors.Conflict(f"Instance {uuid} is not ready: it was never started on a host.")
        return ComputeClient(located.cell.bus).console_output(instance.host, uuid, lines)

    def begin(self, caller: Caller, uuid: str, rule: str, action: str) -> None:
        """Begin ``action``, a key of the table of states, that ``rule`` lets the caller do."""
        located = self._lookup.find(caller, uuid)
        caller.require(rule, **target(located.instance))
        refuse_if_locked(caller, located.instance)
        operations.refuse_if_wrong_state(located.instance, action)
        cell = _hosting_cell(located)
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        begun = _begin(cell, uuid, action, requester, timeout_s=self._conf.operation_timeout)
        ConductorClient(cell.bus).wake(begun.uuid)


def _hosting_cell(located: Located) -> OpenCell:
    """Return the server's cell; raises Conflict when nothing hosts it."""
    if located.cell is None or located.instance.host is None:
        raise errors.Conflict(f"Instance {located.instance.uuid} is not ready: it has no host.")
    return located.cell


@retried
def _begin(cell: OpenCell, uuid: str, action: str, requester: Requester, *, timeout_s: float) -> Workflow:
    with cell.db.writer() as session:
        return operations.begin(session, uuid, action, requester, timeout_s=timeout_s)
