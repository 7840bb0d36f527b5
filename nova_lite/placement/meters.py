"""What Placement counts beside requests: claims, transactions run again, and how its snapshot is kept true."""

import threading

import falcon

from nova_lite import errors
from nova_lite.placement.handlers.allocations import ConsumerAllocations, ManyAllocations
from nova_lite.placement.handlers.reshaper import Reshaper
from nova_lite.placement.reader import Reader
from nova_lite.placement.repositories import changes
from nova_lite.storage import Database
from nova_lite.web.app import Fault
from nova_lite.web.health import Health
from nova_lite.web.metrics import Metrics

#: Where claims are made, by PUT and POST.
_CLAIMING = (ConsumerAllocations, ManyAllocations, Reshaper)
#: Status of a refusal → its reason, where the code of the fault does not tell more.
_REASONS = {400: "invalid", 401: "token", 403: "policy", 404: "unknown", 409: "capacity", 413: "too_large", 503: "busy"}
#: Code of a fault → its reason.
_CODES = {"placement.concurrent_update": "generation"}


class Meters:
    """Middleware that counts claims, and hands on what the reader and the database have counted."""

    def __init__(self, metrics: Metrics, reader: Reader, database: Database, health: Health) -> None:
        self._reader = reader
        self._database = database
        self._health = health
        self._handing_on = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._claims = metrics.counter(
            "placement_claims", "Requests to write allocations, by how they ended.", ("outcome", "reason")
        )
        #: In the order of ``_counted``.
        self._totals = (
            metrics.counter("placement_change_log_polls", "Looks for changes that others have committed."),
            metrics.counter("placement_snapshot_refreshes", "Looks that found changes, and applied them."),
            metrics.counter("placement_snapshot_reloads", "Times everything was read again."),
            metrics.counter("placement_changes", "Changes applied to a snapshot; each worker applies them all."),
            metrics.counter("placement_transaction_retries", "Transactions run again after a deadlock or a lost race."),
        )
        self._providers = metrics.gauge("placement_providers", "Resource providers in the snapshot.")
        self._trees = metrics.gauge("placement_trees", "Trees of resource providers in the snapshot.")
        self._gaps = metrics.gauge("placement_change_log_gaps", "Change numbers that are still waited for.")
        self._lag = metrics.gauge("placement_change_log_lag", "Changes the worker that was asked had yet to apply.")
        self._database_up = metrics.gauge("placement_database_up", "Whether the database answers.")

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """Count a claim, and what the request made the reader and the database do."""
        if req.method in ("PUT", "POST") and isinstance(resource, _CLAIMING):
            self._note_claim(resp.status_code, req.context.fault)
        if self._counted() != self._seen:
            self._hand_on()

    def refresh(self) -> None:
        """Bring the gauges up to date, as far as the database answers."""
        is_up = not self._health.complaints()
        self._database_up.set(is_up)
        state = self._reader.state()
        if state is None:
            return
        self._providers.set(state.providers)
        self._trees.set(state.trees)
        self._gaps.set(self._reader.gaps)
        if is_up:
            try:
                with self._database.reading() as connection:
                    newest = changes.recent(connection, 1)
            except errors.Unavailable:
                self._database_up.set(False)
            else:
                self._lag.set(max(newest[-1] - state.last, 0) if newest else 0)

    def _note_claim(self, status: int, fault: Fault | None) -> None:
        if fault is None:
            self._claims.labels("made", "").inc()
            return
        reason = _CODES.get(fault.code or "") or _REASONS.get(status, "error")
        self._claims.labels("refused", reason).inc()

    def _counted(self) -> tuple[int, ...]:
        counts = self._reader.counts
        return counts.polls, counts.refreshes, counts.reloads, counts.changes, self._database.retries

    def _hand_on(self) -> None:
        with self._handing_on:
            now = self._counted()
            for counter, before, after in zip(self._totals, self._seen or (0,) * len(now), now, strict=True):
                if after > before:
                    counter.inc(after - before)
            self._seen = now
