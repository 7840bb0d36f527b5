"""A road to a server that can be cut: what comes to a port of its own goes on to the server's."""

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.integration.stack.site import ADDRESS

_CHUNK = 65536


class Relay:
    """Takes connections at ``port`` and passes bytes on, both ways; ``mute`` and ``cut`` break the road.

    ``taken`` counts the connections it took.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.taken = 0
        self._target = target
        self._passes = threading.Event()
        self._guard = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def mend(self) -> None:
        """Take connections, and pass on what comes."""
        self._passes.set()
        if self._listener is None:
            self._listener = socket.create_server((ADDRESS, self.port))
            self._run(self._accept, self._listener)

    def mute(self) -> None:
        """Go on taking connections and bytes, and pass nothing on, as a server that hangs."""
        self._passes.clear()

    def cut(self) -> None:
        """End every connection and take none, as a server that is dead; what was held back is lost."""
        with self._guard:
            listener, self._listener = self._listener, None
            ends, self._open = self._open, []
        if listener is not None:
            _close(listener)
        for end in ends:
            _close(end)
        self._passes.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self, function: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=function, args=args, name="relay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                self.taken += 1
                far = socket.create_connection((ADDRESS, self._target))
                with self._guard:
                    is_cut = self._listener is None
                    self._open += [near, far]
                if is_cut:
                    _close(near)
                    _close(far)
                self._run(self._pass_on, near, far)
                self._run(self._pass_on, far, near)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                self._passes.wait()
                sink.sendall(chunk)
        _close(source)
        _close(sink)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
