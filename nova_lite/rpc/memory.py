"""The in-memory bus of one process, ``kombu+memory://``, without its busy waiting.

kombu's own memory transport looks for messages in a loop; a dozen listeners that do so take a whole CPU from the guests
beside them. Here a listener sleeps until a message is put into one of its queues, or it is stopped. ``install`` makes
kombu use it, and ``let_sleep`` keeps oslo.messaging from waking its listeners 20 times a second.

kombu's looks whether a queue or an exchange is there, and makes it when it is not: of two threads that do so at once,
one loses what was put there meanwhile. Here only one makes it.
"""

import threading
import weakref
from queue import Empty, Queue
from time import monotonic
from typing import Any, ClassVar

from nova_lite.rpc.messaging import oslo_messaging  # isort: skip - it comes before what is within it
from kombu import transport as kombu_transports
from kombu.transport import memory, virtual
from oslo_messaging._drivers import impl_rabbit

#: Seconds that a listener sleeps at a time, at most.
_SLEEP_S = 5.0


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
        self.is_over = False

    def end(self) -> None:
        """Wake the listener, and let it sleep no more."""
        self.is_over = True
        self._rung.set()

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
        """Deliver one message, waiting up to ``timeout`` seconds for it.

        Raises TimeoutError when none came, and instead of waiting once the bell has rung for the last time.
        """
        end = None if timeout is None else monotonic() + timeout
        cycle: Any = self.cycle
        while True:
            self.bell.silence()
            try:
                cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = None if end is None else end - monotonic()
                if self.bell.is_over or (left is not None and left <= 0):
                    raise TimeoutError from None
                self.bell.wait(left)
            else:
                return


class _Connection(impl_rabbit.Connection):  # type: ignore[misc]
    """oslo.messaging's connection, whose listener need not wake to see whether it is stopped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._poll_timeout = _SLEEP_S

    def stop_consuming(self) -> None:
        super().stop_consuming()
        self.connection.transport.bell.end()


def install() -> None:
    """Have ``memory://`` mean this transport, in this process."""
    kombu_transports.TRANSPORT_ALIASES["memory"] = f"{__name__}:{Transport.__name__}"


def let_sleep(transport: oslo_messaging.transport.Transport) -> None:
    """Have those who listen over an oslo.messaging transport that stands on this one sleep until there is something."""
    transport._driver._connection_pool.connection_cls = _Connection
