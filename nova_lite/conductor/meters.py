"""What a conductor tells in numbers: the work it leads, what waits, who reports, and what its cell has."""

import logging
from collections import Counter
from typing import Any, Protocol

from nova_lite import errors
from nova_lite.conductor.saga import Runner
from nova_lite.db.repositories import hosts, workflows
from nova_lite.model.host import Service
from nova_lite.storage import Database
from nova_lite.web.metrics import Metrics

LOG = logging.getLogger(__name__)


class Conductor(Protocol):
    """What is read of a conductor, in either role; ``down_after_s`` is the silence after which others are down."""

    down_after_s: float

    @property
    def runner(self) -> Runner[Any]: ...

    @property
    def is_super(self) -> bool: ...

    @property
    def services_db(self) -> Database: ...


class Meters:
    """The gauges and counters of one conductor."""

    def __init__(self, metrics: Metrics, conductor: Conductor) -> None:
        self._conductor = conductor
        self._open = metrics.gauge("workflows", "Workflows that have not ended, of all conductors.", ("kind", "status"))
        self._overdue = metrics.gauge("workflows_overdue", "Workflows that could go on and that nobody runs.")
        self._overdue_s = metrics.gauge("workflows_overdue_seconds", "How long the first of these has waited.")
        self._running = metrics.gauge("workflows_running", "Workflows that this conductor runs now.")
        self._ended = metrics.counter("workflows_ended", "Workflows that this conductor ended.", ("kind", "outcome"))
        self._retries = metrics.gauge("database_retries", "Transactions that this process has run again.")
        self._services = metrics.gauge(
            "services", "Services that report to this database.", ("binary", "state", "status")
        )
        self._capacity = metrics.gauge(
            "cell_capacity", "What the cell's hypervisors have; memory in MiB, disk in GiB.", ("resource",)
        )
        self._used = metrics.gauge("cell_used", "What servers have of that; memory in MiB, disk in GiB.", ("resource",))
        self._up = metrics.gauge("database_up", "Whether the database answered; else other numbers are of before.")

    def refresh(self) -> None:
        """Bring everything up to date, as far as databases answer."""
        runner = self._conductor.runner
        self._running.set(runner.running)
        self._retries.set(runner.db.retries)
        for which, number in runner.ended.take().items():
            self._ended.labels(*which).inc(number)
        try:
            self._look_at_work()
            self._look_at_hosts(self._conductor.services_db)
        except errors.NovaLiteError as exc:
            LOG.warning("Cannot count: %s %s", exc, exc.facts)
            self._up.set(0)
        else:
            self._up.set(1)

    def _look_at_work(self) -> None:
        runner = self._conductor.runner
        with runner.db.reader() as session:
            counts = workflows.count_open(session, runner.row)
            overdue, overdue_s = workflows.overdue(session, runner.row)
        self._open.clear()
        for (kind, status), number in counts.items():
            self._open.labels(kind, status).set(number)
        self._overdue.set(overdue)
        self._overdue_s.set(overdue_s)

    def _look_at_hosts(self, database: Database) -> None:
        with database.reader() as session:
            services = hosts.services(session, down_after_s=self._conductor.down_after_s)
            hypervisors, totals = hosts.totals(session)
        self._services.clear()
        for which, number in Counter(map(_seen, services)).items():
            self._services.labels(*which).set(number)
        if self._conductor.is_super:
            return
        have = {"vcpus": totals.vcpus, "memory": totals.ram_mib, "disk": totals.disk_gib, "hypervisors": hypervisors}
        for resource, amount in have.items():
            self._capacity.labels(resource).set(amount)
        used = {"vcpus": totals.vcpus_used, "memory": totals.ram_mib_used, "disk": totals.disk_gib_used}
        for resource, amount in used.items():
            self._used.labels(resource).set(amount)
        self._used.labels("servers").set(totals.running_vms)


def _seen(service: Service) -> tuple[str, str, str]:
    """Return as what a service is counted."""
    return service.binary, "up" if service.is_up else "down", "disabled" if service.is_disabled else "enabled"
