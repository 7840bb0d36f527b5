"""Audits the whole cloud from time to time, gently: see ``conductor/spanning/auditing/``."""

import logging
import random
import threading
from collections.abc import Callable

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.volumes import Volumes, is_configured
from nova_lite.conductor.spanning.auditing import looking
from nova_lite.conductor.spanning.auditing.auditor import Auditor, Outcome, Report
from nova_lite.conductor.spanning.auditing.looking import Onlooker
from nova_lite.conductor.spanning.auditing.repairs import repairer
from nova_lite.conductor.spanning.auditing.tools import RepairTools
from nova_lite.model.claims import plain_amounts
from nova_lite.reloading import ticker
from nova_lite.storage import Database

LOG = logging.getLogger(__name__)

#: Seconds that a conductor which stops waits for a look under way.
_PATIENCE_S = 2.0
#: How much sooner or later than the interval says: several super conductors shall not look together.
_SCATTER = 0.2


class Audits:
    """Audits every ``[audit] interval`` seconds, unless that is 0; any number may at once.

    What is wrong is told in the log; with ``[audit] repair`` what can be repaired is.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        api_db: Database,
        cells: Cells,
        placement: PlacementClient,
        wake: Callable[[str], None],
    ) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._placement = placement
        self._wake = wake
        self._volumes = Volumes(conf) if is_configured(conf) else None
        self._stopping = threading.Event()
        scatter = random.uniform(1 - _SCATTER, 1 + _SCATTER)
        self._ticker = ticker(conf, lambda: conf.audit.interval * scatter, self._tick, "audit")

    def start(self) -> None:
        """Begin to look, as long as that is wanted."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more; a look that waits for something silent is left alone."""
        self._stopping.set()
        self._ticker.stop(wait_s=_PATIENCE_S)

    def _tick(self) -> None:
        self.look()

    def look(self) -> Report | None:
        """Audit once; None when that was not possible."""
        conf = self._conf
        onlooker = Onlooker(
            self._api_db,
            self._cells.all,
            self._placement,
            looking.over_the_bus,
            None if self._volumes is None else self._volumes.as_service,
            down_after_s=conf.service_down_time,
            pause=self._pause,
        )
        repair = None
        if conf.audit.repair:
            tools = RepairTools(
                conf, self._api_db, self._cells, self._placement, wake_above=self._wake, volumes=self._volumes
            )
            repair = repairer(tools)
        auditor = Auditor(onlooker, plain_amounts, repair, grace_s=conf.audit.grace, wait=self._wait)
        try:
            report = auditor.run()
        except _Stopping:
            return None
        except errors.NovaLiteError as exc:
            LOG.warning("The audit could not be made: %s %s", exc, exc.facts)
            return None
        _tell(report)
        return report

    def _pause(self) -> None:
        self._wait(self._conf.audit.pause)

    def _wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _Stopping


class _Stopping(Exception):
    """The conductor leaves."""


def _tell(report: Report) -> None:
    for each in report.with_outcome(Outcome.TOLD, Outcome.REPAIRABLE, Outcome.FAILED):
        finding = each.finding
        LOG.warning("Audit: %s %s: %s (%s) %s", finding.kind, finding.subject, finding.text, each.outcome, each.advice)
    if report.volumes is not None:
        LOG.warning("Audit: volumes were not judged: %s", report.volumes)
    LOG.info(
        "Audit: %d servers looked at, %d findings, %d repaired; %d cells and %d hosts did not answer",
        report.servers,
        len(report.judged),
        len(report.with_outcome(Outcome.REPAIRED)),
        len(report.silent),
        len(report.unknown),
    )
