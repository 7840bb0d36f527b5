"""Numbers a service keeps of itself, in Prometheus's text format: what every worker counted, in one answer.

Nothing here knows HTTP, so that daemons can keep numbers, too. What is counted, those say who count.
"""

import os
import struct
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

#: Where workers share their numbers. prometheus_client reads this when it is first imported.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

#: Upper bounds, in seconds, of the classes that requests are put in by how long they took.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: Looks more at what workers share while one of them begins to, and seconds between two.
_LOOKS, _LOOK_AGAIN_S = 50, 0.02


class Metrics:
    """The numbers of one service; every name begins with ``nova_lite_``.

    Workers that share a directory are told as one: counters and histograms are summed up, also of workers that have
    ended; of a gauge the youngest value counts. Without a directory each worker tells its own.
    """

    def __init__(self, service: str) -> None:
        self._directory = os.environ.get(DIRECTORY_VARIABLE)
        if self._directory:
            Path(self._directory).mkdir(parents=True, exist_ok=True)
        self._registry = CollectorRegistry()
        build = self.gauge("build_info", "Which release runs; always 1.", ("service", "version"))
        build.labels(service, _release()).set(1)
        start = Gauge(
            "nova_lite_start_time_seconds",
            "When the first of the workers started, in seconds since 1970.",
            registry=self._registry,
            multiprocess_mode="min",
        )
        start.set(time.time())

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Return a new counter; ``_total`` is added to its name."""
        return Counter(f"nova_lite_{name}", help_text, labels, registry=self._registry)

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Return a new gauge of something that is the same in every worker."""
        return Gauge(f"nova_lite_{name}", help_text, labels, registry=self._registry, multiprocess_mode="mostrecent")

    def latencies(self, name: str, help_text: str, labels: Sequence[str]) -> Histogram:
        """Return a new histogram of seconds."""
        return Histogram(f"nova_lite_{name}", help_text, labels, registry=self._registry, buckets=LATENCY_BUCKETS)

    def render(self) -> bytes:
        """Return every number as text for Prometheus."""
        if not self._directory:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=self._directory)  # type: ignore[no-untyped-call]
        for _ in range(_LOOKS):
            try:
                return generate_latest(together)
            except struct.error:  # another worker has only just made a file of its own, and nothing is in it yet
                time.sleep(_LOOK_AGAIN_S)
        return generate_latest(together)


def _release() -> str:
    try:
        return metadata.version("nova_lite")
    except metadata.PackageNotFoundError:
        return "unknown"
