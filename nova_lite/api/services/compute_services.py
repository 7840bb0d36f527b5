"""The services that make up the cloud, wherever they report: agents and conductors in their cells, others in cell0."""

from collections.abc import Sequence
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite.api.services.notices import Notices
from nova_lite.cells import host_status
from nova_lite.cells.fanout import Answers, Fanout
from nova_lite.cells.listing import Key, Listing, Wanted
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import evacuations, host_occupancy, hosts, mappings, workflows, zones
from nova_lite.errors import Conflict, Invalid, NotFound, Unavailable
from nova_lite.model.caller import Caller
from nova_lite.model.host import Service
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, Handle, retried

#: The zone of services that carry no servers.
INTERNAL_ZONE = "internal"
#: The kind of the workflow by which Placement forgets a host; ``conductor/spanning/forget_host.py`` runs it.
FORGET_HOST = "forget-host"


@dataclass(frozen=True)
class PlacedService:
    """A service with its availability zone."""

    service: Service
    zone: str


@dataclass(frozen=True)
class ServiceRef:
    """How a client names a service: by UUID, by number (unique in its cell only), or by host and binary."""

    uuid: str | None = None
    number: int | None = None
    host: str | None = None
    binary: str | None = None

    def __str__(self) -> str:
        if self.host is not None:
            return f"{self.binary} on host {self.host}"
        return self.uuid or str(self.number)


@dataclass(frozen=True)
class ServiceChange:
    """What to change of a service; None leaves as it is. Enabling forgets why it was disabled."""

    is_disabled: bool | None = None
    disabled_reason: str | None = None
    is_forced_down: bool | None = None

    def columns(self) -> dict[str, object]:
        """Return the columns to set."""
        columns: dict[str, object] = {}
        if self.is_disabled is not None:
            columns |= {"disabled": self.is_disabled, "disabled_reason": self.disabled_reason}
        if self.is_forced_down is not None:
            columns["forced_down"] = self.is_forced_down
        return columns


class ComputeServiceService:
    """Lists, changes and deletes services."""

    def __init__(
        self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout, api_bus: Bus, notices: Notices
    ) -> None:
        self._notices = notices
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout
        self._conductor = ConductorClient(api_bus)
        self._listing = Listing(conf, fanout)

    def all(self, *, host: str | None, binary: str | None) -> tuple[list[PlacedService], list[str]]:
        """Return the services, cell by cell, and the compute hosts of cells that do not answer."""
        ref = ServiceRef(host=host, binary=binary)
        cells = self._cells.all()
        rank_of = {cell.cell.uuid: rank for rank, cell in enumerate(cells)}

        def read(cell: OpenCell, after: Key | None, limit: int | None) -> list[tuple[Key, Service]]:
            with cell.db.reading() as connection:
                found = self._services(connection, ref)
            return [((rank_of[cell.cell.uuid], service.number), service) for service in found]

        listed = self._listing.page(Wanted(read, lambda service: service.uuid, (False, False)), cells)
        with self._api_db.reading() as connection:
            zone_of = zones.of_hosts(connection)
        services = [self._placed(row.item, zone_of) for row in listed.rows]
        if binary not in (None, hosts.AGENT):
            return services, []
        silent = [name for name, cell_uuid in self._cells.of_hosts().items() if cell_uuid in listed.down]
        return services, [name for name in silent if host in (None, name)]

    def change(self, caller: Caller, ref: ServiceRef, change: ServiceChange) -> PlacedService:
        """Change a compute service and return it; raises as ``_find`` does, Invalid for a service of another kind.

        Placement follows when a host was disabled or enabled.
        """
        if ref.binary is not None:
            _refuse_others(ref.binary)
        cell, service = self._find(ref)
        _refuse_others(service.binary)
        changed, workflow = self._write(caller, cell, service, change)
        if workflow is not None:
            ConductorClient(cell.bus).wake(workflow)
        self._notices.service(caller, "update", changed)
        with self._api_db.reader() as session:
            return self._placed(changed, zones.of_hosts(session))

    def delete(self, caller: Caller, ref: ServiceRef) -> None:
        """Forget a service, and of a compute host its hypervisors, its mapping, its aggregates and its providers.

        Raises Conflict while servers live there or move. A service that runs on comes back with its next heartbeat.
        """
        cell, service = self._find(ref)
        workflow = self._remove(caller, cell, service)
        self._cells.forget()
        if workflow is not None:
            self._conductor.wake(workflow.uuid)
        self._notices.service(caller, "delete", service)

    @retried
    def _write(
        self, caller: Caller, cell: OpenCell, service: Service, change: ServiceChange
    ) -> tuple[Service, str | None]:
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        with cell.db.writer() as session:
            hosts.change_service(session, service.uuid, **change.columns())
            (changed,) = self._services(session, ServiceRef(uuid=service.uuid))
            return changed, None if change.is_disabled is None else host_status.begin(session, changed, requester)

    @retried
    def _remove(self, caller: Caller, cell: OpenCell, service: Service) -> Workflow | None:
        # The mapping goes while the cell's lock is held: a crash between the two commits leaves a service without
        # mapping, which a second DELETE finds, and never a mapping without service.
        with cell.db.writer() as session:
            occupancy = host_occupancy.of_hosts(session, [service.host]).get(service.host)
            hosts.remove_service(session, service)
            if service.binary != hosts.AGENT:
                return None
            if host_occupancy.has_unfinished_migrations(session, service.host):
                raise Conflict(
                    "Unable to delete compute service that has in-progress migrations. Complete them, or delete the "
                    "servers first."
                )
            providers = () if occupancy is None else occupancy.nodes
            left = [evacuation for evacuation, _ in evacuations.left_on(session, service.host)]
            evacuations.complete(session, left)
            workflow = self._forgetting(caller, cell, service, providers, left)
            with self._api_db.writer() as api_session:
                mappings.remove_host(api_session, service.host)
                workflows.add(api_session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)
            return workflow

    def _forgetting(
        self, caller: Caller, cell: OpenCell, service: Service, providers: Sequence[str], evacuated: Sequence[str]
    ) -> Workflow:
        """Return the workflow by which Placement forgets a host, and what evacuations still hold there."""
        return Workflow.asked_by(
            caller,
            FORGET_HOST,
            service.uuid,
            {
                "cell_uuid": cell.cell.uuid,
                "host": service.host,
                "providers": list(providers),
                "evacuations": list(evacuated),
            },
        )

    def _find(self, ref: ServiceRef) -> tuple[OpenCell, Service]:
        """Return the one service ``ref`` names and its cell.

        Raises: NotFound, Invalid when several cells have it, Unavailable when a cell that may have it is down.
        """
        answers = self._ask(ref)
        found = self._in_order(answers)
        if len(found) > 1:
            raise Invalid(f"Service {ref} is in several cells. Use microversion 2.53 or later and its UUID.")
        if found:
            return found[0]
        if answers.down:
            raise Unavailable(f"Service {ref} was not found, and not all cells answer.", cells=sorted(answers.down))
        raise NotFound(f"Service {ref} could not be found.")

    def _ask(self, ref: ServiceRef) -> Answers[list[Service]]:
        def question(cell: OpenCell) -> list[Service]:
            with cell.db.reader() as session:
                return self._services(session, ref)

        return self._fanout.ask(question)

    def _services(self, handle: Handle, ref: ServiceRef) -> list[Service]:
        return hosts.services(
            handle,
            down_after_s=self._conf.service_down_time,
            host=ref.host,
            binary=ref.binary,
            uuid=ref.uuid,
            number=ref.number,
        )

    def _in_order(self, answers: Answers[list[Service]]) -> Sequence[tuple[OpenCell, Service]]:
        return [(cell, service) for cell in self._cells.all() for service in answers.found.get(cell.cell.uuid, ())]

    def _placed(self, service: Service, zone_of: dict[str, str]) -> PlacedService:
        if service.binary != hosts.AGENT:
            return PlacedService(service, INTERNAL_ZONE)
        return PlacedService(service, zone_of.get(service.host, self._conf.default_availability_zone))


def _refuse_others(binary: str) -> None:
    if binary != hosts.AGENT:
        raise Invalid(f"Updating a {binary} service is not supported. Only {hosts.AGENT} services can be.")
