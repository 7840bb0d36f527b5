"""A small HTTP server of a daemon, for those who watch it: whether it lives, whether it is ready, its numbers.

It knows no tokens and tells no names: of hosts, projects or resources. It is for the loopback, or a network of its own.
"""

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from nova_lite import errors
from nova_lite.web.health import Health
from nova_lite.web.metrics import CONTENT_TYPE, Metrics

LOG = logging.getLogger(__name__)

#: Seconds a client may take over its request.
_PATIENCE_S = 5.0
#: Seconds until the next connection is waited for, when one could not be taken.
_PAUSE_S = 0.1
_JSON = "application/json"

#: Status, type and body of an answer.
_Answer = tuple[int, str, bytes]


class Listener:
    """Answers ``/live``, ``/ready`` and ``/metrics`` at ``address``, HOST:PORT, between ``start`` and ``stop``.

    ``refresh`` brings gauges up to date before they are told. Raises Misconfigured when ``address`` cannot be had.
    """

    def __init__(self, address: str, health: Health, metrics: Metrics, refresh: Callable[[], None]) -> None:
        self._health = health
        self._metrics = metrics
        self._refresh = refresh
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._pages = {"/live": self._live, "/ready": self._ready, "/metrics": self._numbers}
        self._server = _server(address, self._answer)
        self._thread = threading.Thread(target=self._serve, name="watched", daemon=True)

    @property
    def port(self) -> int:
        """Return the port it listens on: the one that was free, where the address says 0."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._stopping.set()
        # Whoever waits for a connection is woken by one.
        with contextlib.suppress(OSError), socket.socket(self._server.address_family) as last:
            last.settimeout(_PATIENCE_S)
            last.connect(self._server.socket.getsockname())
        self._thread.join(_PATIENCE_S)
        self._server.server_close()

    def _serve(self) -> None:
        """Take connections; the library's own loop would hold up every green thread while it waits for one."""
        while not self._stopping.is_set():
            try:
                connection, client = self._server.get_request()
            except OSError as exc:
                LOG.warning("A connection could not be taken: %s", exc)
                time.sleep(_PAUSE_S)
                continue
            if self._stopping.is_set():
                connection.close()
            else:
                self._server.process_request(connection, client)

    def _answer(self, path: str) -> _Answer:
        page = self._pages.get(path.partition("?")[0])
        return (404, _JSON, b'{"error":"There is no such page."}') if page is None else page()

    def _live(self) -> _Answer:
        return 200, _JSON, b'{"alive":true}'

    def _ready(self) -> _Answer:
        complaints = self._health.complaints()
        body = json.dumps({"healthy": not complaints, "reasons": complaints}).encode()
        return (503 if complaints else 200), _JSON, body

    def _numbers(self) -> _Answer:
        # One at a time: gauges are set anew.
        with self._refreshing:
            self._refresh()
            return 200, CONTENT_TYPE, self._metrics.render()


class _Handler(BaseHTTPRequestHandler):
    """One request; who derives from it says how it is answered."""

    server_version = "nova-lite"
    sys_version = ""
    timeout = _PATIENCE_S
    answer: ClassVar[Callable[[str], _Answer]]

    def do_GET(self) -> None:
        """Answer."""
        self._send(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._send(with_body=False)

    def _send(self, *, with_body: bool) -> None:
        try:
            status, kind, body = type(self).answer(self.path)
        except Exception:
            LOG.exception("%s could not be answered", self.path)
            status, kind, body = 500, _JSON, b'{"error":"An internal error happened."}'
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library names it
        """Keep the log for what matters."""
        LOG.debug(format, *args)


def _server(address: str, answer: Callable[[str], _Answer]) -> ThreadingHTTPServer:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise errors.Misconfigured("[service] monitoring_address must be HOST:PORT, such as 127.0.0.1:9780.")

    class Handler(_Handler):
        """A request to this server."""

    class Server(ThreadingHTTPServer):
        """Of the family that the address is of."""

        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Note that a client went away before its answer; what else goes wrong is answered."""
            LOG.debug("A client left", exc_info=True)

    Handler.answer = staticmethod(answer)
    try:
        return Server((host, int(port)), Handler)
    except OSError as exc:
        raise errors.Misconfigured(f"[service] monitoring_address {address} cannot be had: {exc.strerror}.") from exc
