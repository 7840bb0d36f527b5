"""Shelving servers: their disk is put into an image, they leave their host, and come back when they are wanted."""

from collections.abc import Mapping
from dataclasses import dataclass

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.images import Images
from nova_lite.api.services.move_beginnings import Beginnings
from nova_lite.api.services.rehearsals import Rehearsal, Rehearsals
from nova_lite.api.services.server_lookup import Located, ServerLookup, hosting_cell, refuse_if_locked, target
from nova_lite.api.services.server_snapshots import image_of_disk
from nova_lite.cells import operations, shelving
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import build_requests, zones
from nova_lite.model import block_device
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a server is to come back to; ``zone`` counts, None being anywhere, if it ``names_zone``."""

    names_zone: bool = False
    zone: str | None = None
    host: str | None = None

    @property
    def pin(self) -> dict[str, str | None] | None:
        """The zone that the server is to be pinned to from then on, None when that stays as it is."""
        return {"zone": self.zone} if self.names_zone else None


class ShelvingService:
    """Begins to shelve servers, to offload them, and to take them off the shelf."""

    def __init__(
        self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, lookup: ServerLookup, images: Images, bus: Bus
    ) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._lookup = lookup
        self._images = images
        self._beginnings = Beginnings(conf, api_db, cells)
        self._bus = bus
        self._rehearsals = Rehearsals(api_db, bus)

    def shelve(self, caller: Caller, uuid: str) -> None:
        """Begin to shelve the server; raises Forbidden with the image service's words.

        One that boots from a volume has its disk there: it needs no image.
        """
        located = self._checked(caller, uuid, rules.SHELVE, shelving.SHELVE)
        instance, cell = located.instance, hosting_cell(located)
        if block_device.root_of(instance.volumes) is not None:
            timeout_s = self._conf.operation_timeout
            self._begin(caller, uuid, shelving.SHELVE, cell, {"image": None}, timeout_s=timeout_s)
            return
        name = f"{instance.display_name}-shelved"
        image = self._images.create(image_of_disk(instance, name, {}), caller.token)
        try:
            workflow = self._begin(
                caller, uuid, shelving.SHELVE, cell, {"image": image.id}, timeout_s=self._conf.snapshot_timeout
            )
        except errors.NovaLiteError:
            # Somebody else was faster, or deleted the server.
            self._images.delete(image.id, caller.token)
            raise
        if _was_refused(cell, workflow):
            self._images.delete(image.id, caller.token)

    def offload(self, caller: Caller, uuid: str) -> None:
        """Begin to take a shelved server off its host."""
        cell = hosting_cell(self._checked(caller, uuid, rules.SHELVE_OFFLOAD, shelving.OFFLOAD))
        self._begin(caller, uuid, shelving.OFFLOAD, cell, {}, timeout_s=self._conf.operation_timeout)

    def unshelve(self, caller: Caller, uuid: str, wanted: Wanted) -> None:
        """Begin to take the server off the shelf; raises Invalid for a zone or a host it cannot come to."""
        located = self._lookup.find(caller, uuid)
        cell = self._refuse_unshelving(caller, located, wanted)
        inputs = {"cell_uuid": cell.cell.uuid, "pin": wanted.pin, "host": wanted.host or None}
        workflow = Workflow.asked_by(caller, shelving.UNSHELVE, uuid, inputs)
        self._beginnings.record(workflow)

        def begin(session: Session) -> None:
            shelving.begin_unshelving(session, workflow)

        self._beginnings.begin_in_cell(workflow, cell, begin)
        ConductorClient(self._bus).wake(workflow.uuid)

    def rehearse_unshelve(self, caller: Caller, uuid: str, wanted: Wanted) -> Rehearsal:
        """Return what ``unshelve`` would come to, and write nothing; raises as it does.

        A server that is still on its host stays there: there is nothing to choose.
        """
        located = self._lookup.find(caller, uuid)
        cell = self._refuse_unshelving(caller, located, wanted)
        if located.instance.host is not None:
            raise errors.Invalid("dry_run: the server is still on its host and starts there. Nothing was done.")
        return Rehearsal(None, self._rehearsals.unshelving(located.instance, cell, wanted.pin, wanted.host or None))

    def _begin(
        self, caller: Caller, uuid: str, kind: str, cell: OpenCell, inputs: Mapping[str, object], *, timeout_s: float
    ) -> Workflow:
        workflow = Workflow.asked_by(caller, kind, uuid, {**inputs, "cell_uuid": cell.cell.uuid})
        self._beginnings.record(workflow)

        def begin(session: Session) -> str:
            return shelving.begin(session, workflow, timeout_s=timeout_s)

        begun = self._beginnings.begin_in_cell(workflow, cell, begin)
        if begun is not None:
            ConductorClient(cell.bus).wake(begun)
        ConductorClient(self._bus).wake(workflow.uuid)
        return workflow

    def _refuse_unshelving(self, caller: Caller, located: Located, wanted: Wanted) -> OpenCell:
        """Return the server's cell; raises what policy, lock, state, zone or host have against unshelving it."""
        instance = located.instance
        caller.require(rules.UNSHELVE, **target(instance))
        refuse_if_locked(caller, instance)
        operations.refuse_if_wrong_state(instance, shelving.UNSHELVE)
        if located.cell is None:
            raise errors.Conflict(f"Instance {instance.uuid} is not ready: it has no cell yet.")
        if wanted.names_zone or wanted.host:
            shelving.refuse_if_on_host(instance)
        if wanted.zone:
            self._refuse_unknown_zone(wanted.zone)
        if wanted.host:
            caller.require(rules.UNSHELVE_TO_HOST, **target(instance))
            zone = wanted.zone if wanted.names_zone else self._zone_of(instance)
            self._refuse_bad_host(instance, located.cell, wanted.host, zone)
        return located.cell

    def _checked(self, caller: Caller, uuid: str, rule: str, kind: str) -> Located:
        located = self._lookup.find(caller, uuid)
        caller.require(rule, **target(located.instance))
        refuse_if_locked(caller, located.instance)
        operations.refuse_if_wrong_state(located.instance, kind)
        return located

    def _zone_of(self, instance: Instance) -> str | None:
        """Return the zone that a server must be in."""
        with self._api_db.reader() as session:
            asked = build_requests.spec(session, instance.uuid)
        return instance.requested_zone if asked is None else asked.availability_zone

    def _refuse_unknown_zone(self, zone: str) -> None:
        with self._api_db.reader() as session:
            known = zones.of_hosts(session)
        if zone != self._conf.default_availability_zone and zone not in known.values():
            raise errors.Invalid("The requested availability zone is not available")

    def _refuse_bad_host(self, instance: Instance, cell: OpenCell, host: str, zone: str | None) -> None:
        self._beginnings.refuse_bad_host(instance, cell, host)
        if zone is not None:
            with self._api_db.reader() as session:
                zone_of_host = zones.of_hosts(session).get(host, self._conf.default_availability_zone)
            if zone_of_host != zone:
                raise errors.Conflict(f'Host "{host}" is not in the availability zone "{zone}".')


def _was_refused(cell: OpenCell, workflow: Workflow) -> bool:
    """Return whether the cell, which answers, has not begun its part."""
    try:
        with cell.db.reader() as session:
            return not shelving.has_begun(session, workflow)
    except errors.Unavailable:
        return False
