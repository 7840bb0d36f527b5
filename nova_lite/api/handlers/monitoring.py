"""``/healthcheck``, ``/live``, ``/ready`` and ``/metrics``: what load balancers, supervisors and Prometheus ask.

They stand before any version, and but for ``/metrics`` answer anyone.
"""

from oslo_config import cfg

from nova_lite.api.policies import monitoring as policies
from nova_lite.storage import Database
from nova_lite.web.health import Health
from nova_lite.web.metrics import Metrics
from nova_lite.web.monitoring import (
    HEALTHCHECK,
    LIVE,
    METRICS,
    READY,
    HealthPage,
    LivePage,
    MetricsPage,
    RequestMeter,
)


class Monitoring:
    """The pages, and what counts requests for them. Cells do not matter here: others serve while one is away."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database) -> None:
        self._shown_to = conf.api.metrics
        self._health = Health({"database": api_db.ping})
        self._metrics = None if self._shown_to == "off" else Metrics("compute")
        self.meter = RequestMeter(self._metrics, "compute") if self._metrics else None
        self.public = frozenset({HEALTHCHECK, LIVE, READY} | ({METRICS} if self._shown_to == "open" else set()))

    def routes(self) -> list[tuple[str, object]]:
        """Return the URLs, which no version comes before."""
        health = HealthPage(self._health)
        table: list[tuple[str, object]] = [(HEALTHCHECK, health), (READY, health), (LIVE, LivePage())]
        if self._metrics is not None:
            up = self._metrics.gauge("database_up", "Whether the API database answers.")
            rule = None if self._shown_to == "open" else policies.METRICS
            page = MetricsPage(self._metrics, lambda: up.set(not self._health.complaints()), rule)
            table.append((METRICS, page))
        return table
