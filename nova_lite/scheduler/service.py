"""The scheduler process."""

import logging
from collections.abc import Callable

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.reloading import ticker
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.rpc.scheduler import TOPIC
from nova_lite.scheduler.hosts import Hosts
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.scheduler.survey import Surveyor
from nova_lite.scheduler.waiting import Waiting
from nova_lite.storage import Database

LOG = logging.getLogger(__name__)

BINARY = "nova-scheduler"


class Scheduler:
    """One scheduler; reads the API's and the cells' databases, writes none."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        if not conf.api_database.connection:
            raise errors.Misconfigured("The scheduler needs [api_database] connection.")
        self._db = Database(conf.api_database.connection, pool_size=conf.api_database.max_pool_size)
        self._cells = Cells(conf, self._db)
        self._fanout = Fanout(conf, self._cells)
        self._bus = Bus(conf)
        self._hosts = Hosts(conf, self._db, self._cells, self._fanout)
        self._placement = placement = PlacementClient(conf)
        self.endpoint = SchedulerEndpoint(conf, Surveyor(conf, self._hosts, placement), placement, Waiting(self._db))
        self._server = self._bus.serve(TOPIC, conf.host, self.endpoint)
        conductor = ConductorClient(self._bus)
        self._heart = ticker(
            conf,
            lambda: conf.report_interval,
            lambda: conductor.heartbeat(conf.host, BINARY),
            "heartbeat",
            at_once=True,
        )

    def checks(self) -> dict[str, Callable[[], object]]:
        """Return what a scheduler that is ready can do, by what it is done with; each raises Unavailable."""
        return {
            "database": self._db.ping,
            "bus": self._bus.ping,
            "placement": self._placement.newest_version,
            "cells": self._fanout.ping,
        }

    def under_way(self) -> list[str]:
        """Return what it is at work on: messages, by name."""
        return self._server.under_way()

    def start(self) -> None:
        """Begin to listen."""
        self._meet_cells()
        self._server.start()
        self._heart.start()
        LOG.info("scheduler started")

    def _meet_cells(self) -> None:
        """Ask every cell once: the first question is slow, and the first request would take that for silence."""
        try:
            self._hosts.load({})
        except errors.Unavailable as exc:
            LOG.warning("Not ready to place servers yet: %s", exc)

    def stop(self) -> None:
        """Answer what was asked and leave."""
        self._heart.stop()
        self._server.stop()
        self._bus.close()
        self._fanout.close()
        self._cells.close()
        self._db.close()
