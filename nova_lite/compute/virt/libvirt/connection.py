"""One connection to libvirt: opened when needed, opened again after a restart of libvirtd, never waited for for ever.

Libvirt's calls block, some for minutes, and cannot be broken off. Each therefore runs on a thread of a small pool, and
its caller waits only until a deadline. A call that missed it keeps its thread until libvirt lets it go;
while all threads are so held, callers get Unavailable after a while, and not one more thread.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar, cast

from nova_lite import concurrency, errors
from nova_lite.compute.virt.libvirt.bindings import libvirt

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

#: Longer than libvirt's own patience with a QEMU that will not die (SIGTERM, then SIGKILL).
CALL_TIMEOUT_S = 60.0


class CallPool:
    """A few daemon threads that run calls for callers who wait with a deadline."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._free = threading.Semaphore(threads)
        self._work: queue.Queue[tuple[Future[Any], Callable[[], Any]] | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        self._started = False
        self._lock = threading.Lock()

    def run(self, call: Callable[[], T], timeout_s: float) -> T:
        """Return what ``call`` returns; raises Timeout when that takes longer than ``timeout_s``."""
        self._start()
        if not self._free.acquire(timeout=timeout_s):
            raise errors.Unavailable("All threads for libvirt are waiting for it", pool=self._name)
        future: Future[T] = Future()
        self._work.put((future, call))
        try:
            return future.result(timeout_s)
        except FutureTimeout as error:
            if future.done():  # at the last moment, or with an error of this very kind
                return future.result()
            raise errors.Timeout(f"libvirt did not answer within {timeout_s:g} s") from error

    def stop(self) -> None:
        """Let idle threads end; one that libvirt holds ends with the process."""
        if self._started:
            for _ in self._threads:
                self._work.put(None)

    def _start(self) -> None:
        with self._lock:
            if not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, call = item
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who waits for it
                future.set_exception(error)
            finally:
                self._free.release()
                del future, call, item


class Connection:
    """A libvirt connection that several threads share.

    ``on_silence`` is told why there is none, once until libvirt answers again; it must not make callers wait.
    """

    def __init__(
        self,
        uri: str,
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        threads: int = 8,
        on_silence: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._uri = uri
        self._on_silence = on_silence
        self._is_silent = False
        self._call_timeout_s = call_timeout_s
        self._calls = CallPool("libvirt", threads)
        self._lock = threading.Lock()
        self._open: Any = None

    def open(self) -> None:
        """Connect now; where that fails, the error is for the operator and says what to do."""
        try:
            self._calls.run(self._living, self._call_timeout_s)
        except errors.Unavailable as error:
            raise errors.Unavailable(
                f"Cannot reach libvirt at {self._uri}: {error.facts.get('cause', error.message)}. Is libvirtd running"
                " (systemctl start libvirtd), and may this user use its socket? Another place is set with [libvirt]"
                " connection_uri."
            ) from error

    def call(self, use: Callable[[Any], T], what: str) -> T:
        """Return ``use(connection)``, run on a thread of the pool; ``what`` says in an error what was tried.

        ``use`` may let ``libvirt.libvirtError`` pass: it becomes Unavailable.
        """
        return self._calls.run(lambda: self._use(use, what), self._call_timeout_s)

    def call_long(self, use: Callable[[Any], T], what: str) -> T:
        """Return ``use(connection)`` as ``call`` does, on the caller's own thread, however long it takes.

        It has a connection of its own: libvirt lets other calls of the same one wait for some that take long.
        """
        connection = concurrency.call_blocking(self._connect)
        try:
            return cast(T, concurrency.call_blocking(use, connection))
        except libvirt.libvirtError as error:
            raise errors.Unavailable(f"libvirt failed: {what}", cause=str(error), uri=self._uri) from error
        finally:
            concurrency.call_blocking(connection.close)

    def close(self) -> None:
        """Close the connection and let the threads end; a libvirt that hangs is left to itself."""
        if self._open is not None:
            try:
                self._calls.run(self._close, self._call_timeout_s)
            except errors.Unavailable as error:
                _LOG.warning("The connection to libvirt at %s was not closed: %s", self._uri, error.message)
        self._calls.stop()

    def _use(self, use: Callable[[Any], T], what: str) -> T:
        connection = self._living()
        try:
            return cast(T, concurrency.call_blocking(use, connection))
        except libvirt.libvirtError as error:
            raise errors.Unavailable(f"libvirt failed: {what}", cause=str(error), uri=self._uri) from error

    def _living(self) -> Any:
        with self._lock:
            if self._open is not None and not concurrency.call_blocking(_answers, self._open):
                _LOG.warning("Lost the connection to libvirt at %s; connecting again", self._uri)
                self._open = None
            if self._open is None:
                self._open = concurrency.call_blocking(self._connect)
            return self._open

    def _connect(self) -> Any:
        if libvirt is None:
            raise errors.Misconfigured("The libvirt driver needs the Python package libvirt-python (extra 'libvirt')")
        # Without a handler of ours the library prints every error on stderr as well.
        libvirt.registerErrorHandler(_say_nothing, None)
        try:
            opened = libvirt.open(self._uri)
        except libvirt.libvirtError as error:
            if not self._is_silent:
                self._is_silent = True
                self._on_silence(error)
            raise errors.Unavailable("The hypervisor does not answer", uri=self._uri, cause=str(error)) from error
        self._is_silent = False
        return opened

    def _close(self) -> None:
        with self._lock:
            connection, self._open = self._open, None
        if connection is not None:
            try:
                concurrency.call_blocking(connection.close)
            except libvirt.libvirtError as error:
                _LOG.debug("closing %s: %s", self._uri, error)


def _answers(connection: Any) -> bool:
    try:
        connection.getLibVersion()  # the cheapest question that goes to the daemon and back
    except libvirt.libvirtError:
        return False
    return True


def _say_nothing(_context: object, _error: object) -> None:
    """Take an error that also comes as an exception."""
