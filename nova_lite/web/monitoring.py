"""What monitoring asks of an API: /healthcheck for load balancers, /metrics for Prometheus, and who counts requests."""

from collections.abc import Callable

import falcon
from prometheus_client import Counter, Histogram

from nova_lite.model.caller import Caller
from nova_lite.web.app import send_json
from nova_lite.web.health import Health
from nova_lite.web.metrics import CONTENT_TYPE, Metrics

HEALTHCHECK = "/healthcheck"
LIVE = "/live"
READY = "/ready"
METRICS = "/metrics"
#: They are the same in every version of an API.
UNVERSIONED = frozenset({HEALTHCHECK, LIVE, READY, METRICS})

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMeter:
    """Counts the requests of one API, by what was asked: the template of the URL, never the URL."""

    def __init__(self, metrics: Metrics, service: str) -> None:
        self._service = service
        self._requests = metrics.counter(
            "http_requests", "Requests answered.", ("service", "method", "route", "status")
        )
        self._seconds = metrics.latencies(
            "http_request_seconds", "Seconds a request took inside the application.", ("service", "method", "route")
        )
        # Finding a counter by its labels takes longer than counting.
        self._known: dict[tuple[str, str | None, int], tuple[Counter, Histogram]] = {}

    def note(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one answer; ``route`` is None where no URL was found."""
        known = self._known.get((method, route, status))
        if known is None:
            shown = method if method in _METHODS else "other"
            where = route or "none"
            known = (
                self._requests.labels(self._service, shown, where, str(status)),
                self._seconds.labels(self._service, shown, where),
            )
            if method in _METHODS:
                self._known[method, route, status] = known
        counter, histogram = known
        counter.inc()
        histogram.observe(seconds)


class HealthPage:
    """Answers anyone, without a token, whether this process can work, and what fails; tells nothing else of it."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 with the reasons."""
        complaints = self._health.complaints()
        resp.set_header("Cache-Control", "no-cache")
        send_json(resp, {"healthy": not complaints, "reasons": complaints}, 503 if complaints else 200)

    on_head = on_get


class LivePage:
    """Answers anyone that this process answers at all: where it does not, a restart may help."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.set_header("Cache-Control", "no-cache")
        send_json(resp, {"alive": True})

    on_head = on_get


class MetricsPage:
    """Answers every number, as text for Prometheus."""

    def __init__(self, metrics: Metrics, refresh: Callable[[], None], rule: str | None) -> None:
        """``refresh`` brings gauges up to date; ``rule`` is what policy asks of the caller, None for anyone."""
        self._metrics = metrics
        self._refresh = refresh
        self._rule = rule

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer them."""
        if self._rule is not None:
            caller: Caller = req.context.caller
            caller.require(self._rule)
        self._refresh()
        resp.content_type = CONTENT_TYPE
        resp.set_header("Cache-Control", "no-cache")
        resp.data = self._metrics.render()
