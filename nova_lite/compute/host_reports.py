"""What this host is and offers, told to its conductor and to Placement when it changed, and only then."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.compute import inventory, provider_config
from nova_lite.compute.provider_tree import ProviderTree
from nova_lite.compute.told import Told
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from nova_lite.model.provider import Provider
from nova_lite.rpc.conductor import ConductorClient

LOG = logging.getLogger(__name__)


class HostReporter:
    """Looks at the driver and tells. ``node`` is the host's UUID. One thread at a time."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        node: str,
        driver: Driver,
        placement: PlacementClient,
        conductor: ConductorClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conf = conf
        self._node = node
        self._driver = driver
        self._conductor = conductor
        self._tree = ProviderTree(placement, node, Told(Path(conf.state_path) / "told.json"))
        self._additions = provider_config.load(Path(conf.compute.provider_config_location))
        self._clock = clock
        self._compared_at = -math.inf
        self._offered: tuple[Provider, ...] = ()
        self._resources: HostResources | None = None
        self._left: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise Misconfigured when Placement, should it answer, knows this host as another, or its files are wrong."""
        offered = self._offers()
        for sentence in provider_config.strangers(offered, self._additions, self._tree.uuid_of):
            LOG.warning("%s", sentence)
        try:
            self._tree.check(offered[0].name)
        except errors.Misconfigured:
            raise
        except errors.NovaLiteError as exc:
            LOG.warning("Placement cannot say yet whether it knows this host by this name: %s %s", exc, exc.facts)

    def report(self) -> None:
        """Tell what changed since this was last called; Placement first, which knows whether the host is another.

        Placement may have changed by itself: every now and then it is looked at even when nothing did here.
        """
        offered = self._offers()
        # What could not be let go of may be free by now.
        if offered != self._offered or self._left or self._is_doubtful():
            left = self._tree.agree(offered)
            self._offered = offered
            self._compared_at = self._clock()
            self._complain(left)
        resources = self._driver.resources()
        if resources != self._resources:
            self._conductor.register_host(HostReport(self._conf.host, self._node, resources))
            self._resources = resources

    def forget(self) -> None:
        """Have everything told anew: those who were told have forgotten."""
        self._offered, self._resources = (), None

    def _is_doubtful(self) -> bool:
        """Return whether Placement was last compared with so long ago that it may have changed by itself."""
        lasts_s = self._conf.compute.resource_provider_association_refresh or math.inf
        return bool(self._clock() - self._compared_at >= lasts_s)

    def _offers(self) -> tuple[Provider, ...]:
        offered = inventory.offered(self._driver.providers(), self._conf)
        return provider_config.applied(offered, self._additions, self._tree.uuid_of)

    def _complain(self, left: tuple[str, ...]) -> None:
        """Say what an operator must look at, once."""
        for sentence in left:
            if sentence not in self._left:
                LOG.error("%s. The host works on; this is tried again until it is settled", sentence)
        if self._left and not left:
            LOG.info("Placement agrees with what this host offers again")
        self._left = left
