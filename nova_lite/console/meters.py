"""What a console proxy tells of itself in numbers: whom it let in, what is open, how much was said."""

from nova_lite.console.service import ConsoleProxy
from nova_lite.web.metrics import Metrics


class Meters:
    """The counters of one console proxy."""

    def __init__(self, metrics: Metrics, proxy: ConsoleProxy) -> None:
        self._proxy = proxy
        self._sessions = metrics.gauge("console_sessions", "Consoles that are open.")
        self._counters = {
            "connections": metrics.counter("console_connections", "Consoles asked for.", ("outcome",)),
            "bytes": metrics.counter("console_bytes", "Bytes relayed, in to guests and out of them.", ("way",)),
        }

    def refresh(self) -> None:
        """Bring everything up to date."""
        self._sessions.set(len(self._proxy.listener.sessions))
        for (what, which), number in self._proxy.tally.take().items():
            self._counters[what].labels(which).inc(number)
