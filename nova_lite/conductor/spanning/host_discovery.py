"""Maps new hosts from time to time, for clouds whose operators do not want to run ``cell_v2 discover_hosts``."""

import logging

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells import setup, templates
from nova_lite.cells.registry import Cells
from nova_lite.reloading import ticker
from nova_lite.storage import Database

LOG = logging.getLogger(__name__)


class HostDiscovery:
    """Looks every ``[scheduler] discover_hosts_in_cells_interval`` seconds, unless that is below one.

    Any number may look at once, in other processes or by command: each host is mapped once.
    """

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._ticker = ticker(
            conf, lambda: conf.scheduler.discover_hosts_in_cells_interval, self.look, "host-discovery", at_once=True
        )

    def start(self) -> None:
        """Begin to look, as long as that is wanted."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()

    def look(self) -> None:
        """Map the hosts that report to a cell and are mapped to none."""
        try:
            found = setup.discover_hosts(self._api_db, local=templates.local_urls(self._conf))
        except errors.Unavailable as exc:
            LOG.warning("Could not look for new hosts: %s", exc)
            return
        for discovery in found:
            title = setup.title(discovery.cell)
            if discovery.failure:
                LOG.warning("Cell %s could not be looked at for new hosts: %s", title, discovery.failure)
            for host in discovery.mapped:
                LOG.info("Host %s is mapped to cell %s now", host, title)
        if any(discovery.mapped for discovery in found):
            self._cells.forget()
