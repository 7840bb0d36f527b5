"""What a scheduler tells of itself in numbers: what it decided, and how its claims fared."""

from nova_lite.scheduler.service import Scheduler
from nova_lite.web.metrics import Metrics


class Meters:
    """The counters of one scheduler."""

    def __init__(self, metrics: Metrics, scheduler: Scheduler) -> None:
        self._tally = scheduler.endpoint.tally
        self._counters = {
            "server": metrics.counter("scheduler_servers", "Servers a place was sought for.", ("outcome",)),
            "claim": metrics.counter("scheduler_claims", "Claims of a host for a server.", ("outcome",)),
        }

    def refresh(self) -> None:
        """Bring everything up to date."""
        for (what, outcome), number in self._tally.take().items():
            self._counters[what].labels(outcome).inc(number)
