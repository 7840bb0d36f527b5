"""How a running server fares, as its host tells at once."""

from dataclasses import dataclass

from nova_lite import errors
from nova_lite.api.policies import server_diagnostics as policies
from nova_lite.api.services.server_lookup import ServerLookup, hosting_cell, target
from nova_lite.db.columns import utcnow
from nova_lite.model.caller import Caller
from nova_lite.model.diagnostics import Diagnostics
from nova_lite.model.guest import PowerState
from nova_lite.rpc.compute import ComputeClient


@dataclass(frozen=True, slots=True)
class Found:
    """What a host tells of a server, and what is known about that anyway; ``uptime_s`` counts from its last launch."""

    diagnostics: Diagnostics
    has_config_drive: bool
    uptime_s: int | None


class ServerDiagnosticsService:
    """Asks hosts."""

    def __init__(self, lookup: ServerLookup) -> None:
        self._lookup = lookup

    def show(self, caller: Caller, uuid: str) -> Found:
        """Return how a server fares; raises Conflict when it does not run, Unavailable when its host is silent."""
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(policies.SHOW, **target(instance))
        cell = hosting_cell(located)
        if instance.task_state is None and instance.power_state is not PowerState.RUNNING:
            power = instance.power_state.name.lower()
            raise errors.Conflict(f"Cannot 'get_diagnostics' instance {uuid} while it is in power state {power}")
        found = ComputeClient(cell.bus).diagnostics(instance.host or "", uuid)
        launched_at = instance.launched_at
        uptime_s = None if launched_at is None else max(0, int((utcnow() - launched_at).total_seconds()))
        return Found(found, instance.has_config_drive, uptime_s)
