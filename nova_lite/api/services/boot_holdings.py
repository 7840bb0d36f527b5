"""Holding volumes for servers that are about to be written down, and giving them back when they are not.

Before the first volume is reserved or made there is a workflow that would free them all, parked for as long as a
request may take. The transaction that writes the servers down takes it back: whoever dies in between leaves nothing.
"""

import contextlib
import logging
import uuid as uuids
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.boot_volumes import BootVolumes, Held, Plan
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, Handle, retried

LOG = logging.getLogger(__name__)

KIND = "free-volumes"
#: Seconds a request may take for all its volumes, before they are freed.
_REQUEST_S = 300.0


class Holding:
    """Servers to be with their volumes; ``keep`` makes them theirs."""

    def __init__(self, conf: cfg.ConfigOpts, caller: Caller, servers: Sequence[Instance]) -> None:
        self._conf = conf
        self._caller = caller
        self._servers = servers
        self.held = [Held(server.uuid, list(server.volumes)) for server in servers]
        self.workflow = freeing(caller, self._to_free(self.held))

    @property
    def servers(self) -> tuple[Instance, ...]:
        """Return the servers, each with its volumes as far as they are held."""
        return tuple(
            replace(server, volumes=tuple(held.devices)) for server, held in zip(self._servers, self.held, strict=True)
        )

    def keep(self, handle: Handle, count: int) -> tuple[Instance, ...]:
        """Return the first ``count`` servers, whose volumes are theirs now; what the others hold is freed.

        Raises Timeout when all are being freed already.
        """
        if not workflows.withdraw(handle, ApiWorkflowRow, self.workflow.uuid):
            raise errors.Timeout("It took too long to make ready the volumes of the servers.")
        rest = self.held[count:]
        if rest:
            spare = freeing(self._caller, self._to_free(rest))
            workflows.add(handle, ApiWorkflowRow, spare, timeout_s=self._conf.operation_timeout)
        return self.servers[:count]

    @staticmethod
    def _to_free(held: Sequence[Held]) -> list[tuple[str, Sequence[BlockDevice]]]:
        return [(one.instance_uuid, one.to_free()) for one in held]


class BootHoldings:
    """Holds volumes for servers to be."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, api_bus: Bus, volumes: BootVolumes) -> None:
        self._conf = conf
        self._api_db = api_db
        self._api_bus = api_bus
        self._volumes = volumes

    @contextlib.contextmanager
    def holding(self, caller: Caller, servers: Sequence[Instance], plan: Plan, zone: str | None) -> Iterator[Holding]:
        """Hold what ``servers`` are to have of volumes; what fails in the block has it given back."""
        plans = [plan.for_one() for _ in servers]
        planned = [
            replace(server, volumes=tuple(each.device for each in its.devices))
            for server, its in zip(servers, plans, strict=True)
        ]
        holding = Holding(self._conf, caller, planned)
        self._begin(holding.workflow)
        try:
            for held, its in zip(holding.held, plans, strict=True):
                self._volumes.hold(caller.token, held, its, zone)
        except BaseException:
            self._give_back(caller, holding)
            raise
        try:
            yield holding
        except errors.Unavailable:
            # The servers may be written down after all, and then nobody frees anything.
            self._hasten(holding.workflow)
            raise
        except BaseException:
            self._give_back(caller, holding)
            raise

    def _give_back(self, caller: Caller, holding: Holding) -> None:
        """Give back at once what is known to be held, and have a conductor look for what may be held unknown."""
        for held in reversed(holding.held):
            self._volumes.give_back(caller.token, held)
        self._hasten(holding.workflow)

    @retried
    def _begin(self, workflow: Workflow) -> None:
        with self._api_db.writer() as session:
            timeout_s = self._conf.operation_timeout
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=timeout_s, held_back_s=_REQUEST_S)

    def _hasten(self, workflow: Workflow) -> None:
        """Have a conductor free at once what it would free later."""
        try:
            with self._api_db.writer() as session:
                workflows.hasten(session, ApiWorkflowRow, workflow.uuid)
        except errors.NovaLiteError as exc:
            LOG.warning("Volumes are freed only in %s s: %s", _REQUEST_S, exc)
            return
        ConductorClient(self._api_bus).wake(workflow.uuid)


def freeing(caller: Caller, servers: Sequence[tuple[str, Sequence[BlockDevice]]]) -> Workflow:
    """Return the workflow that frees volumes of servers which are not to be: UUID and devices of each."""
    uuid = str(uuids.uuid4())
    return Workflow.asked_by(
        caller,
        KIND,
        uuid,
        {"servers": [{"uuid": each, "devices": msgspec.to_builtins(devices)} for each, devices in servers]},
        uuid=uuid,
    )
