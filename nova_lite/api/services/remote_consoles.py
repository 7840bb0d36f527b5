"""Give callers tokens that open consoles of their servers: a proxy takes them, see ``console/``."""

import secrets
from datetime import timedelta

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import remote_consoles as policies
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.cells.registry import OpenCell
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import console_tokens, instances
from nova_lite.model.caller import Caller
from nova_lite.model.console import PROTOCOLS, Console, ConsoleToken
from nova_lite.model.instance import Instance
from nova_lite.model.states import ENDING_CONSOLES, TaskState, VmState
from nova_lite.rpc.compute import ComputeClient
from nova_lite.storage import retried

#: Random bytes of a token.
_TOKEN_BYTES = 32


class RemoteConsoleService:
    """Makes tokens: the host tells where the console is, the cell's database keeps what the token stands for."""

    def __init__(self, conf: cfg.ConfigOpts, lookup: ServerLookup) -> None:
        self._conf = conf
        self._lookup = lookup

    def create(self, caller: Caller, uuid: str, protocol: str, kind: str) -> tuple[Console, str]:
        """Return a server's console and a new token for it, which nobody can be told again.

        Raises Invalid for a kind of console that there is not, or that this server has not; Conflict while the server
        has no guest that runs, or is about to lose it.
        """
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(policies.CREATE, **target(instance))
        if located.cell is None or instance.host is None:
            raise errors.Conflict(f"Instance {uuid} is not ready")
        _refuse_if_ending(uuid, protocol, instance.task_state)
        if kind not in PROTOCOLS:
            raise errors.Invalid(f"Unavailable console type {kind}.")
        if PROTOCOLS[kind] != protocol:
            raise errors.Invalid(f"Invalid console type {kind}")
        try:
            console = ComputeClient(located.cell.bus).console(instance.host, uuid, kind)
        except errors.NotFound as exc:
            if instance.vm_state is VmState.BUILDING:
                raise errors.Conflict(f"Instance {uuid} is not ready") from exc
            raise
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._keep(located.cell, instance, protocol, console, token)
        return console, token

    @retried
    def _keep(self, cell: OpenCell, instance: Instance, protocol: str, console: Console, token: str) -> None:
        """Write down what the token stands for, unless the server went away from there meanwhile."""
        expires_at = utcnow() + timedelta(seconds=self._conf.consoleauth.token_ttl)
        with cell.db.writer() as session:
            now = instances.hold_placed(session, instance.uuid)
            _refuse_if_ending(instance.uuid, protocol, now.task_state)
            if now.host is None or (now.host, now.epoch) != (instance.host, instance.epoch):
                raise errors.Conflict(f"Instance {instance.uuid} is not ready: it was on its way elsewhere.")
            meant = ConsoleToken(instance.uuid, now.host, now.epoch, console, expires_at)
            console_tokens.add(session, token, meant)


def _refuse_if_ending(uuid: str, protocol: str, task_state: TaskState | None) -> None:
    if task_state in ENDING_CONSOLES:
        raise errors.Conflict(f"Cannot 'get_{protocol}_console' instance {uuid} while it is in task_state {task_state}")
