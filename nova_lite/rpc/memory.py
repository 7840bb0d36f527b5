"""The in-memory bus of one process, ``kombu+memory://``, without its busy waiting.

kombu's own memory transport looks for messages in a loop; a dozen listeners that do so take a whole CPU from the guests
beside them. Here a listener sleeps until a message is put into one of its queues. ``install`` makes kombu use it.

kombu's looks whether a queue or an exchange is there, and makes it when it is not: of two threads that do so at once,
one loses what was put there meanwhile. Here only one makes it.
"""

import threading
import weakref
from queue import Empty, Queue
from time import monotonic
from typing import Any, ClassVar

from kombu import transport as kombu_transports
from kombu.transport import memory, virtual


class _Channel(memory.Channel):
    """A memory channel that wakes whoever listens to the queue a message is put into, and that threads may share."""

    #: Queue → the bells of the transports that listen to it.
    _listeners: ClassVar[dict[str, "weakref.WeakSet[_Bell]"]] = {}
    #: May be taken again by the thread that holds it: rubbish is collected at any moment, and a connection that is
    #: rubbish puts back what it did not acknowledge.
    _guard: ClassVar[threading.RLock] = threading.RLock()

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        with self._guard:
            self._listeners.setdefault(queue, weakref.WeakSet()).add(self.connection.bell)
        answer = super().basic_consume(queue, *args, **kwargs)  # type: ignore[no-untyped-call]
        self.connection.bell.ring()
        return answer

    def exchange_declare(self, *args: Any, **kwargs: Any) -> None:
        with self._guard:
            super().exchange_declare(*args, **kwargs)  # type: ignore[no-untyped-call]

    def queue_bind(self, *args: Any, **kwargs: Any) -> None:
        with self._guard:
            super().queue_bind(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        self._queue_for(queue)

    def _queue_for(self, queue: str) -> Queue[Any]:
        # One step of the interpreter, so nobody's queue is replaced.
        found: Queue[Any] = self.queues.get(queue) or self.queues.setdefault(queue, Queue())
        return found

    def close(self) -> None:
        # Not kombu's, which goes through all queues of the process: others add to them meanwhile, and who closes a
        # connection that is rubbish may be in the midst of one.
        virtual.Channel.close(self)  # type: ignore[no-untyped-call]

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)  # type: ignore[no-untyped-call]
        self._ring(queue)

    def _put_fanout(self, exchange: str, message: Any, routing_key: str | None = None, **kwargs: Any) -> None:
        for queue in self._lookup(exchange, routing_key):  # type: ignore[no-untyped-call]
            self._put(queue, message)

    def _ring(self, queue: str) -> None:
        with self._guard:
            bells = list(self._listeners.get(queue, ()))
        for bell in bells:
            bell.ring()


class _Bell:
    """Wakes one listener."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def silence(self) -> None:
        self._rung.clear()

    def wait(self, timeout_s: float | None) -> None:
        self._rung.wait(timeout_s)


class Transport(memory.Transport):
    """kombu's memory transport, sleeping where the original polls."""

    Channel = _Channel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        self.bell = _Bell()
        super().__init__(client, **kwargs)  # type: ignore[no-untyped-call]

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Deliver one message, waiting up to ``timeout`` seconds for it; raises TimeoutError when none came."""
        end = None if timeout is None else monotonic() + timeout
        cycle: Any = self.cycle
        while True:
            self.bell.silence()
            try:
                cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = None if end is None else end - monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError from None
                self.bell.wait(left)
            else:
                return


def install() -> None:
    """Have ``memory://`` mean this transport, in this process."""
    kombu_transports.TRANSPORT_ALIASES["memory"] = f"{__name__}:{Transport.__name__}"
