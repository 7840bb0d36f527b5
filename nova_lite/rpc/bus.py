"""The message bus: transports, typed calls and casts, servers. What is said over it: the other modules here.

An answer travels in an envelope, so that our own kinds of error arrive as themselves and every other failure of the
other side arrives as one error, without its stack. Payloads are plain JSON; dataclasses are converted by ``msgspec``.
"""

import logging
import queue
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from nova_lite.rpc.messaging import oslo_messaging  # isort: skip - it comes before what is within it
from kombu import exceptions as amqp_errors
from oslo_config import cfg
from oslo_messaging import exceptions as bus_errors
from oslo_messaging._drivers import amqpdriver, impl_rabbit
from oslo_messaging._metrics import client as _metrics_options
from oslo_messaging._tracing import client as _tracing_options

from nova_lite import concurrency, errors

LOG = logging.getLogger(__name__)

#: A bus that does not take a message. oslo.messaging lets some errors of what it stands on through, such as those of
#: opening one more connection while the broker restarts.
FAILURES = (
    bus_errors.MessagingException,
    amqp_errors.KombuError,
    amqp_errors.ConnectionError,
    amqp_errors.ChannelError,
    OSError,
)
_IN_MEMORY = "kombu+memory"
#: What those hear whose question is under way over a bus that is left.
_LEFT = "The message bus was left."
#: Nudges waiting to be sent; more are dropped, for whoever is nudged also looks by itself.
_MAX_NUDGES = 10_000
#: Where a broker listens when its URL does not say, and seconds it gets to take a connection.
_AMQP_PORT = 5672
_PROBE_S = 3.0
#: Seconds between two tries to reach a broker again, at most: one that returns is used within as many.
_RETRY_MAX_S = 2
#: Seconds for which a listener waits for the next message before it looks whether it is to stop, the first time.
_LISTEN_MIN_S = 0.1


class Bus:
    """One message bus, joined on first use.

    ``call_timeout_s`` bounds a short question; ``monitor_s`` is how long a process doing long work may be silent.
    """

    def __init__(self, conf: cfg.ConfigOpts, transport_url: str | None = None) -> None:
        self._conf = conf
        self._url = transport_url
        self._lock = threading.Lock()
        self._has_answered = False
        self._transport: Any = None
        self._clients: dict[str, Any] = {}
        self._nudger: _Nudger | None = None

    @property
    def call_timeout_s(self) -> float:
        """Return the seconds that a short question may take."""
        return float(self._conf.rpc.call_timeout)

    @property
    def monitor_s(self) -> float:
        """Return the seconds that a process doing long work may be silent."""
        return float(self._conf.rpc.call_monitor_timeout)

    def _join(self) -> Any:
        with self._lock:
            if self._transport is None:
                self._transport = open_transport(self._conf, self._url, oslo_messaging.get_rpc_transport)
            return self._transport

    @property
    def _in_memory(self) -> bool:
        transport: str = oslo_messaging.TransportURL.parse(self._conf, self._url).transport
        return transport == _IN_MEMORY

    def _topic(self, topic: str) -> str:
        """Return ``topic`` as this bus knows it.

        The in-memory buses of one process share one namespace, so they get the virtual host put in front.
        """
        url = oslo_messaging.TransportURL.parse(self._conf, self._url)
        return f"{url.virtual_host}.{topic}" if self._in_memory and url.virtual_host else topic

    def _client(self, topic: str) -> Any:
        transport = self._join()
        with self._lock:
            if topic not in self._clients:
                target = oslo_messaging.Target(topic=self._topic(topic))
                self._clients[topic] = oslo_messaging.get_rpc_client(transport, target, timeout=self.call_timeout_s)
            return self._clients[topic]

    def call(
        self, topic: str, method: str, *, server: str | None = None, long_s: float | None = None, **payload: Any
    ) -> Any:
        """Ask ``method`` of whoever serves ``topic`` (or of its ``server``) and return the answer.

        ``long_s`` allows more seconds than a short question gets, as long as the other side shows signs of life: a
        question that died with its broker is noticed sooner. Raises what the other side raised, Timeout when no answer
        came, Unavailable when the bus does not take the question.
        """
        transport = self._join()
        client = self._client(topic)
        self._require_reachable()
        timeout_s = self.call_timeout_s if long_s is None else long_s
        options: dict[str, Any] = {"retry": 2, "timeout": timeout_s}
        if timeout_s > self.monitor_s:
            options["call_monitor_timeout"] = int(self.monitor_s)
        if server is not None:
            options["server"] = server
        try:
            answer = client.prepare(**options).call({}, method, **payload)
        except bus_errors.MessagingTimeout as exc:
            where = f"{topic} on {server}" if server else topic
            raise errors.Timeout(f"No answer from {where} in time.", method=method) from exc
        except oslo_messaging.RemoteError as exc:
            raise errors.NovaLiteError("An internal error happened.", method=method, cause=str(exc)) from exc
        except FAILURES as exc:
            raise errors.Unavailable("The message bus does not answer.", method=method, cause=str(exc)) from exc
        except Exception as exc:
            raise self._if_left(transport, method, exc) from exc
        self._has_answered = True
        return _opened(answer)

    def _if_left(self, transport: Any, method: str, exc: Exception) -> Exception:
        """Return what an error is that came over ``transport``: where that was left meanwhile, that it was left.

        Who has a connection taken away in the midst of a question gets all kinds of errors from oslo.messaging.
        """
        if self._transport is transport:
            return exc
        return errors.Unavailable(_LEFT, method=method, cause=f"{type(exc).__name__}: {exc}")

    def _require_reachable(self) -> None:
        """Raise Unavailable when no broker takes connections, until the first answer came.

        The connection for answers, opened with the first call, is tried for ever, whatever limits the call has.
        """
        if not self._has_answered:
            self.ping()

    def ping(self) -> None:
        """Raise Unavailable when no broker takes connections."""
        hosts = oslo_messaging.TransportURL.parse(self._conf, self._url).hosts
        for host in hosts:
            try:
                socket.create_connection((host.hostname, host.port or _AMQP_PORT), timeout=_PROBE_S).close()
            except OSError as exc:
                LOG.debug("%s takes no connection: %s", host.hostname, exc)
            else:
                return
        if hosts:
            raise errors.Unavailable("The message bus does not answer.", hosts=[host.hostname for host in hosts])

    def cast(self, topic: str, method: str, *, server: str | None = None, **payload: Any) -> None:
        """Send without waiting for an answer; raises Unavailable when the bus does not take it."""
        options: dict[str, Any] = {"retry": 1}
        if server is not None:
            options["server"] = server
        transport = self._join()
        client = self._client(topic)
        try:
            client.prepare(**options).cast({}, method, **payload)
        except FAILURES as exc:
            raise errors.Unavailable("The message bus does not answer.", method=method, cause=str(exc)) from exc
        except Exception as exc:
            raise self._if_left(transport, method, exc) from exc

    def nudge(self, topic: str, method: str, **payload: Any) -> None:
        """Send in the background, or lose it: for messages that only make happen sooner what would happen anyway."""
        with self._lock:
            if self._nudger is None or not self._nudger.is_alive():
                self._nudger = _Nudger(self)
                self._nudger.start()
            nudger = self._nudger
        nudger.add(topic, method, payload)

    def serve(self, topic: str, server: str, endpoint: object) -> "Server":
        """Return a server that answers ``topic`` with the public methods of ``endpoint``; call its ``start``."""
        target = oslo_messaging.Target(topic=self._topic(topic), server=server)
        return Server(self._join(), target, endpoint)

    def close(self) -> None:
        """Leave the bus."""
        with self._lock:
            nudger, self._nudger = self._nudger, None
        if nudger is not None:
            nudger.stop()
        with self._lock:
            self._clients.clear()
            transport, self._transport = self._transport, None
            if transport is not None:
                waiting = _waiting(transport)
                _end_calls(waiting)
                transport.cleanup()
                _end_calls(waiting)  # of those that asked in between


class Server:
    """Answers messages with an endpoint's methods until stopped."""

    def __init__(self, transport: Any, target: Any, endpoint: object) -> None:
        self._endpoint = _Enveloped(endpoint)
        self._server = oslo_messaging.get_rpc_server(
            transport, target, [self._endpoint], executor=concurrency.messaging_executor()
        )
        pool = concurrency.messaging_pool()
        if pool is not None and hasattr(self._server, "_executor_cls"):  # where it has no such name, its own will do
            self._server._executor_cls = pool

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Take no more messages and wait for those under way."""
        self._server.stop()
        self._server.wait()

    def under_way(self) -> list[str]:
        """Return the messages that are being answered now, by name."""
        return sorted(self._endpoint.under_way.elements())


class _Enveloped:
    """Wraps each public method of an endpoint: ``{"answer": …}`` or ``{"error": …}``."""

    target = oslo_messaging.Target()

    def __init__(self, endpoint: object) -> None:
        self._endpoint = endpoint
        self._guard = threading.Lock()
        self.under_way: Counter[str] = Counter()

    def _note(self, name: str, change: int) -> None:
        with self._guard:
            self.under_way[name] += change

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._endpoint, name)
        if name.startswith("_") or not callable(method):
            raise AttributeError(name)

        def answer(context: Mapping[str, object], **payload: Any) -> dict[str, Any]:
            self._note(name, 1)
            try:
                return {"answer": method(**payload)}
            except errors.NovaLiteError as exc:
                return {"error": {"kind": type(exc).__name__, "message": exc.message, "code": exc.code}}
            except Exception:
                LOG.exception("%s failed", name)
                return {"error": {"kind": "NovaLiteError", "message": "An internal error happened.", "code": None}}
            finally:
                self._note(name, -1)

        return answer


def _opened(envelope: dict[str, Any]) -> Any:
    """Return the answer in ``envelope``, or raise the error in it as its own kind."""
    error = envelope.get("error")
    if error is None:
        return envelope["answer"]
    kind = getattr(errors, error["kind"], errors.NovaLiteError)
    raise kind(error["message"], code=error["code"])


class _Nudger(threading.Thread):
    """Sends casts one after the other; what cannot be sent is dropped."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(name="nudger", daemon=True)
        self._bus = bus
        self._waiting: queue.Queue[tuple[str, str, dict[str, Any]] | None] = queue.Queue(_MAX_NUDGES)

    def add(self, topic: str, method: str, payload: dict[str, Any]) -> None:
        try:
            self._waiting.put_nowait((topic, method, payload))
        except queue.Full:
            LOG.warning("Too many messages wait for the bus; dropped %s to %s", method, topic)

    def stop(self) -> None:
        self._waiting.put(None)
        self.join(timeout=5)

    def run(self) -> None:
        while (message := self._waiting.get()) is not None:
            topic, method, payload = message
            try:
                self._bus.cast(topic, method, **payload)
            except errors.Unavailable as exc:
                LOG.warning("Could not send %s to %s: %s", method, topic, exc.facts.get("cause"))


def open_transport(conf: cfg.ConfigOpts, url: str | None, get: Callable[..., Any]) -> Any:
    """Return what oslo.messaging's ``get`` returns for the bus at ``url``; raises Misconfigured, without the URL."""
    _register_bus_options(conf)
    _calm_listeners()
    try:
        if oslo_messaging.TransportURL.parse(conf, url).transport != _IN_MEMORY:
            return get(conf, url=url)
        # Only in-memory buses need it: kombu is not loaded for others.
        from nova_lite.rpc import memory  # noqa: PLC0415

        memory.install()
        transport = get(conf, url=url)
        memory.let_sleep(transport)
        return transport
    except (oslo_messaging.InvalidTransportURL, oslo_messaging.DriverLoadFailure):
        # Without its cause, which holds the URL and so a password.
        raise errors.Misconfigured("transport_url is not a usable message bus URL") from None


def _register_bus_options(conf: cfg.ConfigOpts) -> None:
    """Register the option groups that oslo.messaging puts on the global configuration only, and our own defaults."""
    conf.register_opts(_metrics_options.oslo_messaging_metrics, group="oslo_messaging_metrics")
    conf.register_opts(_tracing_options.oslo_messaging_tracing, group="oslo_messaging_tracing")
    conf.register_opts(impl_rabbit.rabbit_opts, group="oslo_messaging_rabbit")
    # By default oslo.messaging waits longer after each try, up to half a minute: as long as the outage was, in effect.
    conf.set_default("rabbit_interval_max", _RETRY_MAX_S, group="oslo_messaging_rabbit")


def _waiting(transport: Any) -> Any:
    """Return oslo.messaging's own list of who waits for an answer; None where it has other names for that."""
    return getattr(getattr(transport._driver, "_waiter", None), "waiters", None)


def _end_calls(waiting: Any) -> None:
    """Have whoever waits for an answer over a bus that is being left hear that none comes.

    By itself oslo.messaging lets them wait on, as long as they wanted.
    """
    error = {"kind": "Unavailable", "message": _LEFT, "code": None}
    for message in list(getattr(waiting, "_queues", ())):
        waiting.put(message, {"failure": None, "result": {"error": error}, "ending": True})


def _calm_listeners() -> None:
    """Have listeners of this process wait longer for the next message.

    After each message oslo.messaging's wait 1 ms, then 2, 4 and so on: ten looks at nothing, which cost more than most
    messages do. No message comes later for it, for one that comes ends the wait. A listener that is stopped notices
    up to ``_LISTEN_MIN_S`` later. Where oslo.messaging has no such number any more, its listeners are left alone.
    """
    name = "ACK_REQUEUE_EVERY_SECONDS_MIN"
    if hasattr(amqpdriver, name):
        setattr(amqpdriver, name, _LISTEN_MIN_S)
