"""How a server's host was chosen, or why it got none."""

from dataclasses import dataclass

from nova_lite.api.policies import server_scheduling as policies
from nova_lite.api.services.server_lookup import ServerLookup
from nova_lite.model import explanation
from nova_lite.model.caller import Caller
from nova_lite.model.explanation import Explanation


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What became of a server's search for a host (``waiting``, ``placed`` or ``refused``), and how, once it is over.

    ``host`` is where the server is, None for callers who may not know; ``refusal`` is what a refused server was told.
    """

    state: str
    host: str | None = None
    refusal: str | None = None
    explained: Explanation | None = None


class ServerSchedulingService:
    """Explains."""

    def __init__(self, lookup: ServerLookup) -> None:
        self._lookup = lookup

    def show(self, caller: Caller, uuid: str) -> Scheduling:
        """Return how a server's host was chosen; raises NotFound, Unavailable when its cell does not answer."""
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(policies.SHOW, project_id=instance.project_id)
        explained = instance.scheduling or None
        if located.cell is None:
            return Scheduling("waiting")
        with_hosts = caller.may(policies.SHOW_HOSTS, project_id=instance.project_id)
        if explained is not None and not with_hosts:
            explained = explanation.without_hosts(explained)
        refused = located.cell.cell.is_cell0
        return Scheduling(
            state="refused" if refused else "placed",
            host=instance.host if with_hosts else None,
            refusal=instance.fault.message if refused and instance.fault else None,
            explained=explained,
        )
