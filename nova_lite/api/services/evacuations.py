"""Evacuating servers from hosts that are down: checked and written down here; conductors do the rest."""

import msgspec
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.move_beginnings import Beginnings
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.rehearsals import Rehearsal, Rehearsals
from nova_lite.api.services.server_lookup import ServerLookup, hosting_cell, target
from nova_lite.cells import evacuations, moves
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import hosts
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database


class EvacuationService:
    """Begins evacuations, and rehearses them."""

    def __init__(
        self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, lookup: ServerLookup, bus: Bus, notices: Notices
    ) -> None:
        self._notices = notices
        self._conf = conf
        self._cells = cells
        self._lookup = lookup
        self._bus = bus
        self._beginnings = Beginnings(conf, api_db, cells)
        self._rehearsals = Rehearsals(api_db, bus)

    def evacuate(
        self,
        caller: Caller,
        uuid: str,
        host: str | None,
        *,
        is_forced: bool,
        stops: bool,
        on_shared_storage: bool | None = None,
    ) -> None:
        """Begin to make the server anew on ``host``, or on whichever suits; with ``stops`` it is stopped there.

        ``is_forced`` skips the scheduler's filters. ``on_shared_storage`` says whether the other host is to see the
        disks that the server has, or is not to; None leaves it to find that out. Raises NotFound for an unknown host,
        Invalid for one it cannot go to and while its own is up, Conflict in a state that forbids it.
        """
        instance, cell = self._checked(caller, uuid, host, is_forced=is_forced)
        inputs = {
            "cell_uuid": cell.cell.uuid,
            "is_resize": False,
            "flavor": msgspec.to_builtins(instance.flavor),
            "host": host,
            "skips_filters": is_forced,
            "stops": stops,
            "on_shared_storage": on_shared_storage,
        }
        workflow = Workflow.asked_by(caller, moves.EVACUATE, uuid, inputs)
        self._beginnings.record(workflow)
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)

        def begin(session: Session) -> None:
            evacuations.begin(session, uuid, workflow.uuid, requester)

        self._beginnings.begin_in_cell(workflow, cell, begin)
        self._notices.instance(caller, "evacuate", instance)
        ConductorClient(self._bus).wake(workflow.uuid)

    def rehearse(self, caller: Caller, uuid: str, host: str | None, *, is_forced: bool) -> Rehearsal:
        """Return where the scheduler would have the server made anew, and write nothing; raises as ``evacuate``."""
        instance, cell = self._checked(caller, uuid, host, is_forced=is_forced)
        return Rehearsal(None, self._rehearsals.move(instance, cell, instance.flavor, host=host))

    def _checked(self, caller: Caller, uuid: str, host: str | None, *, is_forced: bool) -> tuple[Instance, OpenCell]:
        """Return the server and its cell; raises what policy, state or hosts have against evacuating it."""
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.EVACUATE, **target(instance))
        if is_forced and host is None:
            raise errors.Invalid("Can't force to a non-provided destination")
        if host is not None and host not in self._cells.of_hosts(named=[host]):
            raise errors.NotFound(f"Compute host {host} not found.")
        if host is not None and host == instance.host:
            raise errors.Invalid("The target host can't be the same one.")
        evacuations.refuse_if_wrong_state(instance)
        cell = hosting_cell(located)
        if host is not None:
            self._beginnings.refuse_bad_host(instance, cell, host)
        with cell.db.reader() as session:
            service = hosts.agent(session, instance.host or "", down_after_s=self._conf.service_down_time)
        if service is not None and service.is_up:
            raise errors.Invalid(f"Compute service of {instance.host} is still in use.")
        return instance, cell
