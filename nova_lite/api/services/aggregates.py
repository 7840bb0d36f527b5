"""Host aggregates: the rules of changing them, and what follows for availability zones and for Placement.

A host is in one availability zone at most, and its zone does not change while servers are on it. What the API database
says is the truth; Placement follows, by a workflow that is written down with the change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.api.services.images import Images
from nova_lite.api.services.notices import Notices
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import aggregates, host_occupancy, workflows
from nova_lite.db.repositories.aggregates import ZONE_KEY, Aggregate
from nova_lite.db.repositories.host_occupancy import Occupancy
from nova_lite.errors import Conflict, Invalid, NotFound, Unavailable
from nova_lite.model.caller import Caller
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, retried

#: The kinds of workflows by which Placement follows, and by which hosts get images; ``conductor/spanning/`` runs them.
MIRROR, CACHE_IMAGES = "mirror-aggregates", "cache-images"
_EMPTY = Occupancy()


@dataclass(frozen=True)
class AggregateChange:
    """What to change of an aggregate; ``metadata`` is laid over what there is, None takes a key away."""

    name: str | None = None
    metadata: Mapping[str, str | None] = field(default_factory=dict)


class AggregateService:
    """Aggregates in the API database."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        api_db: Database,
        cells: Cells,
        fanout: Fanout,
        api_bus: Bus,
        images: Images,
        *,
        notices: Notices,
    ) -> None:
        self._conf = conf
        self._notices = notices
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout
        self._conductor = ConductorClient(api_bus)
        self._images = images

    def all(self) -> list[Aggregate]:
        """Return every aggregate."""
        with self._api_db.reader() as session:
            return aggregates.all_of_them(session)

    def show(self, aggregate_id: int) -> Aggregate:
        """Return one aggregate; raises NotFound."""
        with self._api_db.reader() as session:
            return aggregates.get(session, aggregate_id)

    def create(self, caller: Caller, name: str, zone: str | None) -> Aggregate:
        """Make an aggregate without hosts, an availability zone if ``zone`` is given; raises Conflict."""
        made = self._create(name, zone)
        self._notices.aggregate(caller, "create", made)
        return made

    @retried
    def _create(self, name: str, zone: str | None) -> Aggregate:
        with self._api_db.writer() as session:
            return aggregates.add(session, name, {} if zone is None else {ZONE_KEY: zone})

    def change(self, caller: Caller, aggregate_id: int, change: AggregateChange) -> Aggregate:
        """Rename an aggregate, or change its metadata and with it its zone.

        Raises NotFound, Conflict when the name is taken, Invalid for a zone that its hosts cannot change to.
        """
        seen = self.show(aggregate_id)
        occupied = self._occupancy(seen.hosts) if _is_other_zone(seen, change) else {}
        changed = self._write(seen, change, occupied)
        if changed.name != seen.name:
            self._notices.aggregate(caller, "update_prop", changed)
        if changed.metadata != seen.metadata:
            self._notices.aggregate(caller, "update_metadata", changed)
        return changed

    def remove(self, caller: Caller, aggregate_id: int) -> None:
        """Forget an aggregate; raises NotFound, Invalid while it has hosts."""
        self._notices.aggregate(caller, "delete", self._remove(aggregate_id))

    @retried
    def _remove(self, aggregate_id: int) -> Aggregate:
        with self._api_db.writer() as session:
            aggregate = aggregates.lock(session, aggregate_id)
            if aggregate.hosts:
                raise Invalid(f"Aggregate {aggregate_id} still has hosts; remove them first.")
            aggregates.remove(session, aggregate_id)
            return aggregate

    def add_host(self, caller: Caller, aggregate_id: int, host: str) -> Aggregate:
        """Put a host into an aggregate.

        Raises NotFound for an aggregate or host that is not there, Conflict when the host is in it already, is in
        another zone, or would change its zone with servers on it, Unavailable when its cell does not answer.
        """
        self.show(aggregate_id)
        occupancy = self._occupancy([host]).get(host, _EMPTY)
        if not occupancy.nodes:
            raise NotFound(f"Compute host {host} could not be found.")
        added, workflow = self._add_host(caller, aggregate_id, host, occupancy)
        self._conductor.wake(workflow.uuid)
        self._notices.aggregate(caller, "add_host", added)
        return added

    def remove_host(self, caller: Caller, aggregate_id: int, host: str) -> Aggregate:
        """Take a host out of an aggregate.

        Raises NotFound, Conflict when the host would change its zone with servers on it, Unavailable.
        """
        if host not in self.show(aggregate_id).hosts:
            raise NotFound(f"Host {host} is not in aggregate {aggregate_id}.")
        # One that no cell knows any more has no servers, and nothing in Placement that we could name.
        is_mapped = host in self._cells.of_hosts(named=[host])
        occupancy = self._occupancy([host]).get(host, _EMPTY) if is_mapped else _EMPTY
        left, workflow = self._remove_host(caller, aggregate_id, host, occupancy)
        if workflow is not None:
            self._conductor.wake(workflow.uuid)
        self._notices.aggregate(caller, "remove_host", left)
        return left

    def cache_images(self, caller: Caller, aggregate_id: int, images: Sequence[str]) -> None:
        """Have images brought to the aggregate's hosts, by and by.

        Raises NotFound, Invalid for an image that is named twice or that the caller does not see.
        """
        if len(set(images)) < len(images):
            raise Invalid("cache: an image is named twice")
        aggregate = self.show(aggregate_id)
        for image_id in images:
            try:
                self._images.show(image_id, caller.token)
            except NotFound as exc:
                raise Invalid(f"cache: {exc.message}") from exc
        workflow = Workflow.asked_by(caller, CACHE_IMAGES, aggregate.uuid, {"images": list(images)})
        # One after the other: each gets as long as any operation.
        fetches = max(1, len(aggregate.hosts) * len(images))
        self._record(workflow, timeout_s=self._conf.operation_timeout * fetches)
        self._conductor.wake(workflow.uuid)

    @retried
    def _record(self, workflow: Workflow, *, timeout_s: float) -> None:
        with self._api_db.writer() as session:
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=timeout_s)

    @retried
    def _write(self, seen: Aggregate, change: AggregateChange, occupied: Mapping[str, Occupancy]) -> Aggregate:
        with self._api_db.writer() as session:
            aggregate = aggregates.lock(session, seen.id)
            if _is_other_zone(aggregate, change):
                if (aggregate.hosts, aggregate.availability_zone) != (seen.hosts, seen.availability_zone):
                    raise Conflict(f"Aggregate {seen.id} was changed by somebody else just now. Try again.")
                _refuse_zone(session, aggregate, change.metadata[ZONE_KEY], occupied)
            metadata: dict[str, str | None] = {**aggregate.metadata, **change.metadata}
            kept = {key: value for key, value in metadata.items() if value is not None}
            return aggregates.change(session, seen.id, name=change.name or aggregate.name, metadata=kept)

    @retried
    def _add_host(
        self, caller: Caller, aggregate_id: int, host: str, occupancy: Occupancy
    ) -> tuple[Aggregate, Workflow]:
        with self._api_db.writer() as session:
            aggregate = aggregates.lock(session, aggregate_id, more_hosts=[host])
            if host in aggregate.hosts:
                raise Conflict(f"Aggregate {aggregate_id} already has host {host}.")
            if not aggregates.is_mapped(session, host):
                raise NotFound(f"Compute host {host} could not be found.")
            zone = aggregate.availability_zone
            if zone is not None:
                others = aggregates.other_zones(session, [host], besides=aggregate_id)
                if others - {zone}:
                    raise Conflict(f"Host {host} is in availability zone {_names(others)} already.")
                if not others and occupancy.servers:
                    raise Conflict(_keeps_its_zone(host, occupancy))
            added = aggregates.add_host(session, aggregate_id, host)
            return added, self._mirrored(session, caller, added, host, occupancy.nodes)

    @retried
    def _remove_host(
        self, caller: Caller, aggregate_id: int, host: str, occupancy: Occupancy
    ) -> tuple[Aggregate, Workflow | None]:
        with self._api_db.writer() as session:
            zone = aggregates.lock(session, aggregate_id, more_hosts=[host]).availability_zone
            others = aggregates.other_zones(session, [host], besides=aggregate_id)
            if zone is not None and zone not in others and occupancy.servers:
                raise Conflict(_keeps_its_zone(host, occupancy))
            left = aggregates.remove_host(session, aggregate_id, host)
            if not occupancy.nodes:
                return left, None
            return left, self._mirrored(session, caller, left, host, occupancy.nodes)

    def _mirrored(
        self, session: Session, caller: Caller, aggregate: Aggregate, host: str, nodes: Sequence[str]
    ) -> Workflow:
        """Write down that Placement is to follow in what is true of ``host`` and ``aggregate``."""
        workflow = Workflow.asked_by(caller, MIRROR, aggregate.uuid, {"host": host, "providers": list(nodes)})
        workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)
        return workflow

    def _occupancy(self, hosts: Iterable[str]) -> dict[str, Occupancy]:
        """Return host → what is on it, from the hosts' cells; raises NotFound, Unavailable when a cell is down."""
        hosts = list(hosts)
        homes = self._cells.of_hosts(named=hosts)
        by_cell: dict[str, list[str]] = {}
        for host in hosts:
            if host not in homes:
                raise NotFound(f"Compute host {host} could not be found.")
            by_cell.setdefault(homes[host], []).append(host)

        def question(cell: OpenCell) -> dict[str, Occupancy]:
            with cell.db.reader() as session:
                return host_occupancy.of_hosts(session, by_cell[cell.cell.uuid])

        answers = self._fanout.ask(question, of=[self._cells.get(uuid) for uuid in by_cell])
        if answers.down:
            silent = sorted(host for uuid in answers.down for host in by_cell[uuid])
            raise Unavailable(f"The cell of {', '.join(silent)[:500]} does not answer, so nobody knows what is there.")
        return {host: found for of_cell in answers.found.values() for host, found in of_cell.items()}


def _is_other_zone(aggregate: Aggregate, change: AggregateChange) -> bool:
    """Return whether ``change`` makes an aggregate another zone; raises Invalid for one without a name."""
    if ZONE_KEY not in change.metadata:
        return False
    zone = change.metadata[ZONE_KEY]
    if not zone:
        raise Invalid(
            f"availability_zone: aggregate {aggregate.id} can be another zone, but not one without a name, nor none"
        )
    return zone != aggregate.availability_zone


def _refuse_zone(session: Session, aggregate: Aggregate, zone: str | None, occupied: Mapping[str, Occupancy]) -> None:
    others = aggregates.other_zones(session, aggregate.hosts, besides=aggregate.id) - {zone}
    if others:
        raise Invalid(f"availability_zone: hosts of aggregate {aggregate.id} are in zone {_names(others)} already")
    busy = sorted(host for host, occupancy in occupied.items() if occupancy.servers)
    if busy:
        raise Invalid(
            f"availability_zone: servers are on hosts of aggregate {aggregate.id} ({', '.join(busy)[:500]}), "
            "and their zone does not change while they are"
        )


def _keeps_its_zone(host: str, occupancy: Occupancy) -> str:
    return (
        f"The availability zone of host {host} would change, and it has {occupancy.servers} servers, which must "
        "be moved away first."
    )


def _names(zones: Iterable[str]) -> str:
    return ", ".join(sorted(zones))[:500]
