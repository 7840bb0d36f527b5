"""The conductor process, in one of its two roles.

With an API database it is the super conductor: it runs what spans cells. Without one it serves its own cell, and opens
nothing above it.
"""

import logging
import uuid
from collections.abc import Callable
from typing import Protocol

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.volumes import Volumes
from nova_lite.conductor.notices import CellNotices
from nova_lite.conductor.reclaim import Reclaimer
from nova_lite.conductor.rescue_timeouts import RescueTimeouts
from nova_lite.conductor.saga import Runner
from nova_lite.conductor.server import CellEndpoint
from nova_lite.conductor.spanning import evacuate as evacuate_above
from nova_lite.conductor.spanning import live_migrate as live_migrate_above
from nova_lite.conductor.spanning import move as moves_above
from nova_lite.conductor.spanning import rebuild as rebuilds_above
from nova_lite.conductor.spanning import shelve as shelving_above
from nova_lite.conductor.spanning.audits import Audits
from nova_lite.conductor.spanning.automatic_confirms import AutomaticConfirms
from nova_lite.conductor.spanning.automatic_offloads import AutomaticOffloads
from nova_lite.conductor.spanning.cache_images import CACHE_IMAGES
from nova_lite.conductor.spanning.delete import DELETE_ANYWHERE, RESTORE_ANYWHERE, SOFT_DELETE_ANYWHERE
from nova_lite.conductor.spanning.failed_deletes import FailedDeletes
from nova_lite.conductor.spanning.forget_host import FORGET_HOST
from nova_lite.conductor.spanning.free_volumes import FREE_VOLUMES
from nova_lite.conductor.spanning.host_discovery import HostDiscovery
from nova_lite.conductor.spanning.mirror_aggregates import MIRROR_AGGREGATES
from nova_lite.conductor.spanning.notices import SuperNotices
from nova_lite.conductor.spanning.reset_state import RESET_STATE
from nova_lite.conductor.spanning.schedule import SCHEDULE
from nova_lite.conductor.spanning.server import SuperEndpoint
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.conductor.steps import Onlooker
from nova_lite.conductor.workflows import evacuate, power, rebuild, shelve, snapshot, unshelve, volume_images
from nova_lite.conductor.workflows.attach_volume import ATTACH_VOLUME
from nova_lite.conductor.workflows.build import BUILD
from nova_lite.conductor.workflows.confirm_resize import CONFIRM_RESIZE
from nova_lite.conductor.workflows.delete import DELETE, RESTORE, SOFT_DELETE
from nova_lite.conductor.workflows.detach_volume import DETACH_VOLUME
from nova_lite.conductor.workflows.extend_volume import EXTEND_VOLUME
from nova_lite.conductor.workflows.live_migrate import LIVE_MIGRATE
from nova_lite.conductor.workflows.mirror_status import MIRROR_STATUS
from nova_lite.conductor.workflows.move import MOVE
from nova_lite.conductor.workflows.reimage import REIMAGE
from nova_lite.conductor.workflows.rescue import RESCUE, UNRESCUE
from nova_lite.conductor.workflows.revert_resize import REVERT_RESIZE
from nova_lite.conductor.workflows.swap_volume import SWAP_VOLUME
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import hosts
from nova_lite.reloading import ticker
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.compute import ComputeClient
from nova_lite.rpc.conductor import TOPIC, ConductorClient
from nova_lite.rpc.notifications import Notifier
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database

LOG = logging.getLogger(__name__)

#: Characters of a lease owner's name that a workflow row holds, less what parking adds to it.
_OWNER_LENGTH = 56
SUPER_WORKFLOWS = {
    definition.kind: definition
    for definition in (
        SCHEDULE,
        DELETE_ANYWHERE,
        SOFT_DELETE_ANYWHERE,
        RESTORE_ANYWHERE,
        MIRROR_AGGREGATES,
        FORGET_HOST,
        CACHE_IMAGES,
        FREE_VOLUMES,
        moves_above.MOVE,
        moves_above.CONFIRM_RESIZE,
        moves_above.REVERT_RESIZE,
        live_migrate_above.LIVE_MIGRATE,
        *shelving_above.ALL,
        *(rebuilds_above.ABOVE, rebuilds_above.REIMAGE_ABOVE),
        evacuate_above.EVACUATE,
        RESET_STATE,
    )
}
CELL_WORKFLOWS = {
    definition.kind: definition
    for definition in (
        *(BUILD, DELETE, SOFT_DELETE, RESTORE, MIRROR_STATUS),
        *power.ALL,
        *snapshot.ALL,
        *volume_images.ALL,
        *(MOVE, CONFIRM_RESIZE, REVERT_RESIZE),
        LIVE_MIGRATE,
        *(RESCUE, UNRESCUE, rebuild.IN_CELL, REIMAGE),
        *(ATTACH_VOLUME, DETACH_VOLUME, EXTEND_VOLUME, SWAP_VOLUME),
        *evacuate.ALL,
        *shelve.ALL,
        *unshelve.ALL,
    )
}


class Looker(Protocol):
    """Looks from time to time whether something is to be put right."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Conductor:
    """One conductor; ``start`` returns at once, ``stop`` when the steps under way have ended."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._owner = f"{uuid.uuid4()}@{conf.host}"[:_OWNER_LENGTH]
        self._bus = Bus(conf)
        self._notifier = Notifier(conf)
        self._cells: Cells | None = None
        self._fanout: Fanout | None = None
        #: What looks from time to time whether something is to be put right.
        self._lookers: list[Looker] = []
        if conf.api_database.connection:
            self._build_super()
        elif conf.database.connection:
            self._build_for_cell()
        else:
            raise errors.Misconfigured(
                "A conductor needs [api_database] connection (super conductor) or [database] connection (cell's)."
            )
        conf.register_mutate_hook(lambda *_: self.runner.reconsider())
        self._server = self._bus.serve(TOPIC, conf.host, self._endpoint)
        self._heart = ticker(conf, lambda: conf.report_interval, self._beat, "heartbeat", at_once=True)

    @property
    def is_super(self) -> bool:
        """Return whether this conductor runs what spans cells."""
        return self._cells is not None

    @property
    def down_after_s(self) -> float:
        """Return the seconds of silence after which a service is down."""
        return float(self._conf.service_down_time)

    def _scan_interval_s(self) -> float:
        return float(self._conf.conductor.scan_interval)

    @property
    def services_db(self) -> Database:
        """Return the database that the services beside this conductor report to."""
        return self._db if self._cells is None else self._cells.cell0.db

    def checks(self) -> dict[str, Callable[[], object]]:
        """Return what a conductor that is ready can do, by what it is done with; each raises Unavailable."""
        checks: dict[str, Callable[[], object]] = {
            "database": self._db.ping,
            "bus": self._bus.ping,
            "placement": self.runner.tools.placement.newest_version,
        }
        return checks if self._fanout is None else {**checks, "cells": self._fanout.ping}

    def under_way(self) -> list[str]:
        """Return what it is at work on: workflows, and messages by name."""
        return ["workflow"] * self.runner.running + self._server.under_way()

    def _build_super(self) -> None:
        self._db = Database(self._conf.api_database.connection, pool_size=self._conf.api_database.max_pool_size)
        self._cells = Cells(self._conf, self._db)
        lookers = (HostDiscovery, FailedDeletes, AutomaticConfirms, AutomaticOffloads)
        self._lookers = [looker(self._conf, self._db, self._cells) for looker in lookers]
        fanout = self._fanout = Fanout(self._conf, self._cells)
        tools = SuperTools(
            conf=self._conf,
            api_db=self._db,
            cells=self._cells,
            fanout=fanout,
            scheduler=SchedulerClient(self._bus),
            placement=PlacementClient(self._conf),
            volumes=Volumes(self._conf),
        )
        self.runner: Runner[SuperTools] | Runner[CellTools] = Runner(
            db=self._db,
            row=ApiWorkflowRow,
            definitions=SUPER_WORKFLOWS,
            tools=tools,
            owner=self._owner,
            lease_s=self._conf.conductor.lease,
            scan_interval_s=self._scan_interval_s,
            threads=self._conf.conductor.threads,
            onlooker=SuperNotices(self._conf, self._notifier) if self._notifier.is_versioned else Onlooker(),
        )
        self._lookers.append(Audits(self._conf, self._db, self._cells, tools.placement, self.runner.wake))
        self._cells.require_cell0()
        self._endpoint: SuperEndpoint | CellEndpoint = SuperEndpoint(self.runner, self._cells)

    def _build_for_cell(self) -> None:
        self._db = Database(self._conf.database.connection, pool_size=self._conf.database.max_pool_size)
        tools = CellTools(
            conf=self._conf,
            db=self._db,
            agents=ComputeClient(self._bus),
            placement=PlacementClient(self._conf),
            volumes=Volumes(self._conf),
        )
        self.runner = Runner(
            db=self._db,
            row=CellWorkflowRow,
            definitions=CELL_WORKFLOWS,
            tools=tools,
            owner=self._owner,
            lease_s=self._conf.conductor.lease,
            scan_interval_s=self._scan_interval_s,
            threads=self._conf.conductor.threads,
            onlooker=CellNotices(self._conf, self._notifier) if self._notifier.is_on else Onlooker(),
        )
        self._lookers = [looker(self._conf, self._db, self.runner.wake) for looker in (Reclaimer, RescueTimeouts)]
        self._endpoint = CellEndpoint(self.runner, self._db, self._notifier, down_after_s=lambda: self.down_after_s)

    def start(self) -> None:
        """Begin to listen and to run workflows."""
        self._server.start()
        self.runner.start()
        self._heart.start()
        for looker in self._lookers:
            looker.start()
        LOG.info("%s conductor %s started", "super" if self.is_super else "cell", self._owner)

    def stop(self) -> None:
        """Finish what is under way and leave."""
        self._heart.stop()
        for looker in self._lookers:
            looker.stop()
        self.runner.stop()  # first: agents at work for it may still ask whether a guest may run
        self._server.stop()
        # Nobody listens here any more: another conductor hears it now, rather than at its next scan.
        for left in self.runner.not_begun:
            ConductorClient(self._bus).wake(left)
        self._notifier.close()
        self._bus.close()
        if self._fanout is not None:
            self._fanout.close()
        if self._cells is not None:
            self._cells.close()
        self._db.close()

    def _beat(self) -> None:
        try:
            with self.services_db.writer() as session:
                hosts.beat(session, self._conf.host, hosts.CONDUCTOR)
        except errors.Unavailable as exc:
            LOG.warning("Could not write a heartbeat: %s %s", exc, exc.facts)
