"""Moving servers: to another host, to another size, and what their users say to that afterwards.

A move is written down in the API database first, with what the server counts for meanwhile; it is begun in the server's
cell at once, so that the caller hears whether that can be, and carried out later.
"""

import msgspec
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.extra_specs import refuse_aliases
from nova_lite.api.services.move_beginnings import Beginnings, movable_in
from nova_lite.api.services.quotas import UNLIMITED, Limits, Quotas, how_many_fit, used_by_servers
from nova_lite.api.services.rehearsals import Rehearsal, Rehearsals
from nova_lite.api.services.server_lookup import Located, ServerLookup
from nova_lite.cells import accounting, moves
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import flavors, quotas, workflows
from nova_lite.model.caller import Caller
from nova_lite.model.flavor import Flavor, has_smaller_disks
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, retried


class MoveService:
    """Begins moves, confirms and reverts them."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, lookup: ServerLookup, bus: Bus) -> None:
        self._conf = conf
        self._api_db = api_db
        self._lookup = lookup
        self._bus = bus
        self._quotas = Quotas(conf)
        self._beginnings = Beginnings(conf, api_db, cells)
        self._rehearsals = Rehearsals(api_db, bus)

    def resize(self, caller: Caller, uuid: str, flavor_id: str, disk_config: str | None = None) -> None:
        """Begin to give the server another flavor; raises Invalid for one that cannot be, OverQuota."""
        instance, cell, flavor = self._resizable(caller, uuid, flavor_id)
        self._begin_move(caller, instance, cell, flavor, is_resize=True, host=None, disk_config=disk_config)

    def rehearse_resize(self, caller: Caller, uuid: str, flavor_id: str) -> Rehearsal:
        """Return what ``resize`` would come to, and write nothing; raises as it does, but for OverQuota."""
        instance, cell, flavor = self._resizable(caller, uuid, flavor_id)
        over_quota = None
        with self._api_db.reader() as session:
            try:
                self._refuse_over_quota(session, instance, flavor)
            except errors.OverQuota as exc:
                over_quota = exc.message
        may_stay = self._conf.allow_resize_to_same_host
        decision = self._rehearsals.move(instance, cell, flavor, host=None, may_stay=may_stay)
        return Rehearsal(over_quota, decision)

    def migrate(self, caller: Caller, uuid: str, host: str | None) -> None:
        """Begin to move the server to ``host``, or to whichever suits; raises Invalid for a host it cannot go to."""
        instance, cell = self._migratable(caller, uuid, host)
        self._begin_move(caller, instance, cell, instance.flavor, is_resize=False, host=host)

    def rehearse_migrate(self, caller: Caller, uuid: str, host: str | None) -> Rehearsal:
        """Return what ``migrate`` would come to, and write nothing; raises as it does."""
        instance, cell = self._migratable(caller, uuid, host)
        return Rehearsal(None, self._rehearsals.move(instance, cell, instance.flavor, host=host))

    def confirm(self, caller: Caller, uuid: str) -> None:
        """Begin to make the server's move final; raises Conflict when none waits for that."""
        self._end(caller, uuid, rules.CONFIRM_RESIZE, moves.CONFIRM, "confirmResize")

    def revert(self, caller: Caller, uuid: str) -> None:
        """Begin to move the server back; raises Conflict when no move waits to be confirmed."""
        self._end(caller, uuid, rules.REVERT_RESIZE, moves.REVERT, "revertResize")

    def _resizable(self, caller: Caller, uuid: str, flavor_id: str) -> tuple[Instance, OpenCell, Flavor]:
        located, cell = self._movable(caller, uuid, rules.RESIZE, "resize")
        return located.instance, cell, self._flavor(located.instance, flavor_id)

    def _migratable(self, caller: Caller, uuid: str, host: str | None) -> tuple[Instance, OpenCell]:
        rule = rules.MIGRATE if host is None else rules.MIGRATE_TO_HOST
        located, cell = self._movable(caller, uuid, rule, "migrate")
        if host is not None:
            if host == located.instance.host:
                raise errors.Invalid(f"Server {uuid} is on host {host} already.")
            self._beginnings.refuse_bad_host(located.instance, cell, host)
        return located.instance, cell

    def _movable(self, caller: Caller, uuid: str, rule: str, shown: str) -> tuple[Located, OpenCell]:
        located = self._lookup.find(caller, uuid)
        return located, movable_in(caller, located, rule, moves.MOVE, shown)

    def _end(self, caller: Caller, uuid: str, rule: str, kind: str, shown: str) -> None:
        located = self._lookup.find(caller, uuid)
        cell = movable_in(caller, located, rule, kind, shown)
        workflow = Workflow.asked_by(caller, kind, uuid, {"cell_uuid": cell.cell.uuid})
        self._beginnings.record(workflow)

        def begin(session: Session) -> str | None:
            return moves.begin_end(session, workflow, timeout_s=self._conf.operation_timeout)

        begun = self._beginnings.begin_in_cell(workflow, cell, begin)
        if begun is not None:
            ConductorClient(cell.bus).wake(begun)
        ConductorClient(self._bus).wake(workflow.uuid)

    def _begin_move(
        self,
        caller: Caller,
        instance: Instance,
        cell: OpenCell,
        flavor: Flavor,
        *,
        is_resize: bool,
        host: str | None,
        disk_config: str | None = None,
    ) -> None:
        numbers = self._flavor_numbers(instance.flavor.flavor_id, flavor.flavor_id)
        inputs = {
            "cell_uuid": cell.cell.uuid,
            "is_resize": is_resize,
            "flavor": msgspec.to_builtins(flavor),
            "flavor_numbers": numbers,
            "host": host,
            "disk_config": disk_config,
        }
        workflow = Workflow.asked_by(caller, moves.MOVE, instance.uuid, inputs)
        self._record_move(instance, flavor, workflow)
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)

        def begin(session: Session) -> None:
            moves.begin(
                session,
                instance.uuid,
                workflow.uuid,
                requester,
                flavor,
                is_resize=is_resize,
                flavor_numbers=numbers,
                disk_config=disk_config,
            )

        self._beginnings.begin_in_cell(workflow, cell, begin)
        ConductorClient(self._bus).wake(workflow.uuid)

    @retried
    def _record_move(self, instance: Instance, flavor: Flavor, workflow: Workflow) -> None:
        """Write down that the server is to move, and have it count for both sizes; raises OverQuota."""
        with self._api_db.writer() as session:
            quotas.lock(session, instance.project_id)
            self._refuse_over_quota(session, instance, flavor)
            accounting.count_larger(session, instance.uuid, flavor)
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)

    def _refuse_over_quota(self, session: Session, instance: Instance, flavor: Flavor) -> None:
        more = {"cores": flavor.vcpus - instance.flavor.vcpus, "ram": flavor.ram_mib - instance.flavor.ram_mib}
        needs = {resource: amount for resource, amount in more.items() if amount > 0}
        project_id, user_id = instance.project_id, instance.user_id
        allowance = self._quotas.allowance(session, project_id, user_id)
        counts = [
            Limits(limits, used_by_servers(session, project_id, whose))
            for limits, whose in ((allowance.project, None), (allowance.user, user_id))
            if any(limits.get(resource, UNLIMITED) >= 0 for resource in needs)
        ]
        how_many_fit(counts, needs, least=1, most=1)

    def _flavor(self, instance: Instance, flavor_id: str) -> Flavor:
        """Return the flavor a server is to have; raises Invalid for one it cannot have."""
        with self._api_db.reader() as session:
            try:
                flavor = flavors.get(session, flavor_id, visible_to=instance.project_id)
            except errors.NotFound as exc:
                raise errors.Invalid(exc.message) from exc
        is_same = flavor.flavor_id == instance.flavor.flavor_id
        if flavor.is_disabled and not is_same:
            raise errors.Invalid(f"Flavor {flavor.flavor_id} could not be found.")
        if is_same:
            raise errors.Invalid("When resizing, instances must change flavor!")
        refuse_aliases(flavor)
        if flavor.root_gib == 0 and instance.flavor.root_gib != 0 and not instance.boots_from_volume:
            raise errors.Invalid("Resize to zero disk flavor is not allowed.")
        if has_smaller_disks(flavor, instance.flavor, boots_from_volume=instance.boots_from_volume):
            raise errors.Invalid("Unable to resize disk down.")
        return flavor

    def _flavor_numbers(self, *flavor_ids: str) -> list[int | None]:
        with self._api_db.reader() as session:
            return [flavors.number(session, flavor_id) for flavor_id in flavor_ids]
