"""A WSGI application on a port of the loopback, inside this process."""

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import waitress
from waitress import wasyncore

from nova_lite import errors

Wsgi: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]

HOST = "127.0.0.1"
#: Bytes of a request at most, of applications that take no files; they have their own, lower limits.
_MAX_REQUEST_BYTES = 64 << 20


class PortTaken(errors.Conflict):
    """Something else listens on the port, or it may not be used."""


class HttpServer:
    """Serves one application on threads of its own. The port is taken at once, answers begin with ``start``."""

    def __init__(self, port: int, name: str, *, threads: int = 16, max_request_bytes: int = _MAX_REQUEST_BYTES) -> None:
        self._name = name
        self._max_request_bytes = max_request_bytes
        self._threads = threads
        self._socket = _bound(port, name)
        self.port: int = self._socket.getsockname()[1]
        self._map: dict[int, Any] = {}
        self._server: Any = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"http-{name}", daemon=True)

    @property
    def url(self) -> str:
        """The URL the application is at, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    def start(self, app: Wsgi) -> None:
        """Begin to answer with ``app``."""
        self._server = waitress.create_server(
            app,
            map=self._map,
            sockets=[self._socket],
            threads=self._threads,
            max_request_body_size=self._max_request_bytes,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Finish the requests under way, for ``timeout_s`` at most, and give the port back."""
        if self._server is not None:
            self._server.task_dispatcher.shutdown(timeout=timeout_s)
            self._stopping = True
            with contextlib.suppress(OSError):
                self._server.pull_trigger()
            self._thread.join(timeout=timeout_s)
            wasyncore.close_all(self._map, ignore_all=True)
        self._socket.close()

    def _run(self) -> None:
        while self._map and not self._stopping:
            wasyncore.loop(timeout=5.0, map=self._map, use_poll=True, count=1)


def _bound(port: int, name: str) -> socket.socket:
    """Return a socket on ``port`` of the loopback; raises PortTaken."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen(1024)
    except OSError as exc:
        bound.close()
        if exc.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise PortTaken(
            f"Port {port} of {HOST}, for {name}, cannot be used: {exc.strerror}. Another cloud may run there, "
            "or something else listens; choose other ports with --port-base."
        ) from exc
    return bound
